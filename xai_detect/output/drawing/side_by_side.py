"""A comparison as one figure: the image, then its maps; rows are classes, columns are settings.

Maps are drawn in two colours on a pale grey copy. All maps of a figure share one scale. Maps of
large images are smoothed a little before they are drawn, which leaves the net evidence of a spot.
"""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import ScalarFormatter

from xai_detect.inspection.comparison import REMOVALS, Comparison, Panel
from xai_detect.output.drawing.faces import drawn_name, in_every_letter, picture_words
from xai_detect.values.files import write_bytes
from xai_detect.values.smoothing import smooth
from xai_detect.words.catalogue import Catalogue

INK, QUIET, FAINT = "#1a1c21", "#585c66", "#c3c7cf"
SIDE = 2.3
"""Width of a panel in inches."""

DOTS_PER_INCH = 130
SMOOTHING = 0.006
"""Standard deviation of the smoothing, share of the longer side; none under half a pixel."""

STRONGEST = 0.995
"""The scale ends at this quantile of the absolute values of one map, the largest of them, so that
single pixels do not make the rest invisible."""


def save_figure(comparison: Comparison, path: Path, language: str = "en") -> None:
    """Write the figure as a PNG.

    Args:
        comparison: What to draw.
        path: Where to write it.
        language: Of the words in it.

    Raises:
        InputError: If the file cannot be written.
    """
    stream = io.BytesIO()
    figure_of(comparison, language).savefig(stream, format="png", dpi=DOTS_PER_INCH)
    write_bytes(path, stream.getvalue())


def limit_of(comparison: Comparison) -> float:
    """The one value at which the colours of all maps end; 1 if all maps are empty."""
    maps = [np.abs(drawn(panel)) for row in comparison.rows for panel in row]
    ends = [float(np.quantile(heatmap, STRONGEST)) for heatmap in maps]
    return max(ends) or max(float(heatmap.max()) for heatmap in maps) or 1.0


def drawn(panel: Panel) -> np.ndarray:
    """The map as it is shown."""
    heatmap = panel.explanation.heatmap.numpy()
    return smooth(heatmap, SMOOTHING * max(heatmap.shape))


def figure_of(comparison: Comparison, language: str = "en") -> Figure:
    """Build the figure."""
    words = picture_words(language)
    rows, columns = len(comparison.rows), len(comparison.rows[0]) + 1
    height, width = comparison.image.shape[1:]
    tall = SIDE * height / width
    figure = Figure(
        figsize=(columns * SIDE + 1.0, rows * (tall + 0.36) + 0.3),
        layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.03, wspace=0.02, hspace=0.0),
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    limit = limit_of(comparison)
    for row, panels in enumerate(comparison.rows):
        _question(axes[row, 0], comparison, row, words)
        for column, panel in enumerate(panels, start=1):
            _map(axes[row, column], comparison, row, panel, limit, words)
            if row == 0:
                axes[row, column].set_title(panel.variant, color=INK, fontsize=9)
    axes[0, 0].set_title(words.say("comparison.image"), color=INK, fontsize=9)
    _scale(figure, axes, limit, words)
    return in_every_letter(figure)


def _question(axes: Axes, comparison: Comparison, row: int, words: Catalogue) -> None:
    """The image with what should matter outlined, and which class was asked about."""
    panel = comparison.rows[row][0]
    axes.imshow(comparison.image.permute(1, 2, 0).numpy())
    _outline(axes, comparison, row, "#e8308a")
    target, score = panel.explanation.target, panel.values["score"]
    name = drawn_name(target.name, target.label, words)
    if target.rival is not None:
        rival = drawn_name(target.class_names[target.rival], target.rival, words)
        name = words.say("comparison.class_not", **{"class": name, "rival": rival})
    axes.set_ylabel(f"{name}  {score:.2f}", color=INK, fontsize=10, fontweight="bold")
    background, foreground = (panel.values[name] for name in REMOVALS)
    said = words.say("comparison.removed", background=background, foreground=foreground)
    _frame(axes, "" if np.isnan(background) else said)


def _map(
    axes: Axes, comparison: Comparison, row: int, panel: Panel, limit: float, words: Catalogue
) -> None:
    grey = comparison.image.mean(dim=0).numpy()
    # Pale, so that both ends of the colours stand out on it.
    canvas = np.repeat((0.45 + 0.5 * grey)[:, :, None], 3, axis=2)
    strength = np.clip(drawn(panel) / limit, -1, 1)
    alpha = (np.abs(strength) ** 0.7)[:, :, None]
    axes.imshow((1 - alpha) * canvas + alpha * _colours()((strength + 1) / 2)[:, :, :3])
    _outline(axes, comparison, row, INK)
    share, area = panel.values["foreground_share"], panel.values["foreground_area"]
    said = words.say("comparison.sum", sum=panel.values["sum"])
    if not np.isnan(area):
        held = "held_none" if np.isnan(share) else "held"
        said += "\n" + words.say(f"comparison.{held}", share=share, area=area)
    _frame(axes, said)


def _colours() -> mpl.colors.Colormap:
    return mpl.colormaps["RdBu_r"]


def _outline(axes: Axes, comparison: Comparison, row: int, colour: str) -> None:
    mask = comparison.foregrounds[row]
    if mask is None:
        return
    x1, y1, x2, y2 = comparison.rows[row][0].explanation.target.box
    rectangle = mask.sum() == int(mask.any(dim=0).sum()) * int(mask.any(dim=1).sum())
    if bool(rectangle):
        axes.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, color=colour, linewidth=1)
        )
        return
    padded = np.pad(mask.numpy().astype(float), 1)
    across, down = np.arange(padded.shape[1]) - 1, np.arange(padded.shape[0]) - 1
    axes.contour(across, down, padded, levels=[0.5], colors=[colour], linewidths=0.8)


def _frame(axes: Axes, said: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(FAINT)
    axes.set_xlabel(said, color=QUIET, fontsize=7.5)


def _scale(figure: Figure, axes: np.ndarray, limit: float, words: Catalogue) -> None:
    bar = figure.colorbar(
        ScalarMappable(Normalize(-limit, limit), _colours()),
        ax=axes[:, -1], shrink=min(1.0, 2.2 / len(axes)), aspect=16, fraction=0.08, pad=0.03,
        extend="both", format=_short(),
    )  # fmt: skip
    bar.set_label(words.say("comparison.scale"), color=QUIET, fontsize=8)
    bar.ax.tick_params(labelsize=7, colors=QUIET)
    bar.outline.set_visible(False)


def _short() -> ScalarFormatter:
    """Very small and very large numbers with one common power of ten."""
    formatter = ScalarFormatter()
    formatter.set_powerlimits((-2, 3))
    return formatter
