"""Art styles: what a scene is drawn with, apart from what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xai_detect.savanna.strokes import Colour


@dataclass(frozen=True, slots=True)
class Style:
    """A way to draw.

    Attributes:
        moods: Colours of the sky above and at the horizon, of the ground far and near.
        coats: Species to its dark and its pale colour.
        leaves: Colour of leaves.
        bark: Colour of trunks.
        outline: Colour of the line around animals.
        weight: How strongly that line covers what is behind it, 0 to 1.
        shading: Contrast of the light from above on bodies and crowns; 0 is flat.
        girth: Factor of bodies.
        leg: Factor of the thickness of legs.
        neck: Factor of the length of necks.
        head: Factor of heads.
        fineness: Factor of the width of stripes and patches.
        grain: Strength of a paper's texture, in grey values.
        hatched: Whether skies and grounds are drawn in bands instead of running colours.
    """

    moods: tuple[tuple[Colour, Colour, Colour, Colour], ...]
    coats: Mapping[str, tuple[Colour, Colour]]
    leaves: Colour
    bark: Colour
    outline: Colour
    weight: float
    shading: float
    girth: float = 1.0
    leg: float = 1.0
    neck: float = 1.0
    head: float = 1.0
    fineness: float = 1.0
    grain: float = 0.0
    hatched: bool = False


PAINTED = Style(
    moods=(
        ((108, 168, 214), (226, 234, 230), (204, 178, 108), (174, 140, 76)),
        ((92, 154, 204), (210, 228, 226), (156, 170, 94), (112, 138, 68)),
        ((140, 148, 194), (250, 206, 152), (198, 156, 94), (156, 114, 64)),
        ((168, 188, 198), (238, 230, 206), (220, 194, 132), (192, 158, 94)),
    ),
    coats=MappingProxyType(
        {
            "zebra": ((36, 31, 30), (245, 240, 228)),
            "giraffe": ((160, 94, 44), (242, 222, 178)),
            "elephant": ((118, 112, 112), (138, 130, 127)),
            "antelope": ((92, 62, 40), (204, 148, 90)),
        }
    ),
    leaves=(104, 128, 58),
    bark=(104, 80, 60),
    outline=(34, 26, 22),
    weight=0.75,
    shading=0.17,
)
"""Running colours, soft light, thin dark outlines. Networks are trained on this one."""

PRINTED = Style(
    moods=(
        ((244, 214, 168), (250, 232, 200), (214, 142, 96), (190, 112, 76)),
        ((150, 196, 196), (222, 234, 216), (190, 184, 116), (160, 152, 92)),
        ((226, 168, 150), (248, 214, 176), (176, 128, 100), (148, 100, 82)),
    ),
    coats=MappingProxyType(
        {
            "zebra": ((58, 46, 60), (250, 238, 214)),
            "giraffe": ((186, 106, 58), (250, 226, 164)),
            "elephant": ((112, 118, 132), (134, 138, 150)),
            "antelope": ((112, 64, 46), (222, 150, 100)),
        }
    ),
    leaves=(84, 122, 84),
    bark=(122, 78, 66),
    outline=(250, 240, 222),
    weight=0.85,
    shading=0.0,
    girth=1.1,
    leg=1.25,
    neck=0.92,
    head=1.14,
    fineness=1.25,
    grain=7.0,
    hatched=True,
)
"""Flat inks in bands on rough paper, pale outlines, stockier animals. No network sees it in
training."""

STYLES: Mapping[str, Style] = MappingProxyType({"painted": PAINTED, "printed": PRINTED})
