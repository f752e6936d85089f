"""The catalogue: every item type with its builder, one literal dict per kind."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from xai_detect.errors import InputError
from xai_detect.xray.things import cloth, electronics, hazards, smallware, vessels, weapons
from xai_detect.xray.things.solids import Item

Builder = Callable[[np.random.Generator], Item]

#: Items a screener must stop; the order is the label order of the screening model.
DANGEROUS: Mapping[str, Builder] = MappingProxyType(
    {
        "pistol": weapons.pistol,
        "revolver": weapons.revolver,
        "folding_knife": weapons.folding_knife,
        "straight_knife": weapons.straight_knife,
        "scissors": weapons.scissors,
        "box_cutter": weapons.box_cutter,
        "wrench": hazards.wrench,
        "hammer": hazards.hammer,
        "power_bank": hazards.power_bank,
        "lighter": hazards.lighter,
        "spray_can": hazards.spray_can,
    }
)

#: Items that may pass.
BENIGN: Mapping[str, Builder] = MappingProxyType(
    {
        "shirt": cloth.shirt,
        "trousers": cloth.trousers,
        "towel": cloth.towel,
        "shoe": cloth.shoe,
        "book": smallware.book,
        "bottle": vessels.bottle,
        "glass_bottle": vessels.glass_bottle,
        "drink_can": vessels.drink_can,
        "thermos": vessels.thermos,
        "umbrella": cloth.umbrella,
        "keys": smallware.keys,
        "coins": smallware.coins,
        "belt": cloth.belt,
        "glasses": cloth.glasses,
        "fruit": vessels.fruit,
        "food_box": vessels.food_box,
        "cosmetics": vessels.cosmetics,
        "perfume": vessels.perfume,
        "toothbrush": smallware.toothbrush,
        "pens": smallware.pens,
        "screwdriver": smallware.screwdriver,
        "tape_measure": smallware.tape_measure,
        "laptop": electronics.laptop,
        "tablet": electronics.tablet,
        "phone": electronics.phone,
        "cable": electronics.cable,
        "charger": electronics.charger,
        "headphones": electronics.headphones,
        "mouse": electronics.mouse,
        "battery": electronics.battery,
        "camera": electronics.camera,
        "hair_dryer": electronics.hair_dryer,
        "watch": electronics.watch,
    }
)


def build(name: str, rng: np.random.Generator) -> Item:
    """One item of a type, its sizes and materials drawn from ``rng``.

    Raises:
        InputError: If there is no such type.
    """
    builder = DANGEROUS.get(name) or BENIGN.get(name)
    if builder is None:
        raise InputError(f"no item {name!r}; expected one of {', '.join([*DANGEROUS, *BENIGN])}")
    return builder(rng)
