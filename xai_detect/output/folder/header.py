"""What every image of a run has in common."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xai_detect.values.detections import Provenance
from xai_detect.values.json import as_list, as_mapping, as_number, as_text, damaged, number, plain


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What every image of a run has in common; two runs with different headers never mix.

    Attributes:
        provenance: The detector.
        class_names: Its classes, in label order.
        method: Name of the explaining method; empty if nothing was explained.
        settings: The method's hyper-parameters.
        confidence: Detections under this score were left out; NaN if unknown.
        asked: The class that was asked about in every box; None for each box's own class.
        fill: What a removed pixel became.
        seed: Start of every random choice.
        options: Anything else that changes a number, by name.
    """

    provenance: Provenance
    class_names: tuple[str, ...]
    method: str
    settings: Mapping[str, Any]
    confidence: float = math.nan
    asked: str | None = None
    fill: str = ""
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


def header_to_json(header: Header) -> dict[str, Any]:
    """The header, ready to be written or compared."""
    return {
        "model": dataclasses.asdict(header.provenance),
        "class_names": list(header.class_names),
        "method": header.method,
        "settings": plain(header.settings),
        "confidence": number(header.confidence),
        "asked": header.asked,
        "fill": header.fill,
        "seed": header.seed,
        "options": plain(header.options),
    }


def header_from_json(content: Any, path: Path) -> Header:
    """Read a header back.

    Raises:
        InputError: If something is missing or of another kind.
    """
    with damaged(path):
        model = as_mapping(content["model"])
        asked = content["asked"]
        return Header(
            provenance=Provenance(
                **{key: as_text(model[key]) for key in Provenance.__dataclass_fields__}
            ),
            class_names=tuple(as_text(name) for name in as_list(content["class_names"])),
            method=as_text(content["method"]),
            settings=as_mapping(content["settings"]),
            confidence=as_number(content["confidence"]),
            asked=None if asked is None else as_text(asked),
            fill=as_text(content["fill"]),
            seed=int(content["seed"]),
            options=as_mapping(content["options"]),
        )
