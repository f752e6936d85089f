"""Maps on matplotlib axes, so that papers can restyle them: the lines and the heat of the report.

Lines and boxes are drawn as vectors with a dark halo, so they stay sharp in a PDF.
"""

import numpy as np
from jaxtyping import Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.output.drawing.panels import LINES, Layer, as_bytes
from xai_detect.output.drawing.vector import heat, lines
from xai_detect.values.boxes import Box, Size

STYLES = ("auto", "contours", "heat")
"""``auto`` outlines evidence on X-ray images, whose colours mean something, and shows heat on a
grey copy of photographs."""


def new_axes(size: Size, count: int = 1, columns: int | None = None) -> list[Axes]:
    """Axes in rows on a figure of their own, in the image's proportions.

    Args:
        size: ``(height, width)`` of the image.
        count: How many.
        columns: Most beside each other; None takes all.
    """
    height, width = size
    across = min(count, columns or count)
    down = -(-count // across)
    side = (5.0 if count == 1 else 3.0) / max(height, width)
    inches = (across * width * side, down * (height * side + 0.4))
    figure = Figure(figsize=inches, layout="constrained")
    places = list(figure.subplots(down, across, squeeze=False).flat)
    for left in places[count:]:
        left.remove()
    return places[:count]


def chosen_style(style: str, domain: str) -> str:
    """What ``auto`` means in a domain.

    Raises:
        InputError: If there is no such style.
    """
    if style not in STYLES:
        raise InputError(f"there is no style {style!r}; choose from {', '.join(STYLES)}")
    return ("contours" if domain == "xray" else "heat") if style == "auto" else style


def draw(
    axes: Axes,
    image: Float[Tensor, "3 h w"] | None,
    box: Box,
    layer: Layer | None,
    style: str,
    title: str = "",
) -> Axes:
    """Draw one map over an image, or over nothing.

    Args:
        axes: Where.
        image: RGB in [0, 1]; None leaves the ground white.
        box: The detection, in image pixels.
        layer: The map; None draws the detection alone.
        style: ``contours`` or ``heat``.
        title: Over the axes.
    """
    size = layer.density.shape if image is None and layer is not None else None
    if image is not None:
        pixels = as_bytes(image)
        size = pixels.shape[:2]
        if style == "heat" and layer is not None:
            grey = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2)
            pixels = (40 + 0.5 * grey).astype(np.uint8)
        axes.imshow(pixels, extent=(0, size[1], size[0], 0))
    if size is None:
        raise InputError("there is neither an image nor a map to draw; pass one of them")
    if layer is not None and style == "heat":
        axes.imshow(heat(layer), extent=(0, size[1], size[0], 0), interpolation="bilinear")
    if layer is not None and style == "contours":
        _contours(axes, layer, (size[0], size[1]))
    _brackets(axes, box)
    axes.set(xlim=(0, size[1]), ylim=(size[0], 0), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, loc="left", fontsize=9)
    return axes


def _contours(axes: Axes, layer: Layer, size: Size) -> None:
    for place, (level, region) in reversed(list(enumerate(layer.outlines))):
        kept = np.where((layer.density < level) | region, layer.density, 0)
        for points, outside in lines(kept, level, layer.near, size):
            core, widths = LINES[outside]
            _stroke(axes, points, core, 0.6 * widths[place], dashed=outside)


def _brackets(axes: Axes, box: Box) -> None:
    x1, y1, x2, y2 = box
    across, down = 0.2 * (x2 - x1), 0.2 * (y2 - y1)
    for x, y, right, below in ((x1, y1, 1, 1), (x2, y1, -1, 1), (x2, y2, -1, -1), (x1, y2, 1, -1)):
        points = np.array([[x + across * right, y], [x, y], [x, y + down * below]])
        _stroke(axes, points, (255, 255, 255), 1.2)


def _stroke(
    axes: Axes, points: np.ndarray, colour: tuple[int, int, int], width: float, dashed: bool = False
) -> None:
    halo = [patheffects.Stroke(linewidth=width + 1.2, foreground="black"), patheffects.Normal()]
    axes.plot(
        *points.T, color=tuple(part / 255 for part in colour), linewidth=width,
        linestyle="--" if dashed else "-", path_effects=halo, solid_capstyle="round",
    )  # fmt: skip
