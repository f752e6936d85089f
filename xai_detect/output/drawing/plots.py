"""Plots of an evaluation as PNG files: confusion matrix, precision-recall, figures by threshold.

No display, no global state of matplotlib: each figure is built, written and forgotten.
"""

import io
import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from xai_detect.evaluation.figures import Evaluation
from xai_detect.measures.detection import RECALLS
from xai_detect.output.drawing.faces import drawn_name, in_every_letter, legible, picture_words
from xai_detect.values.files import write_bytes
from xai_detect.words.catalogue import ENGLISH, Catalogue

INK, QUIET, FAINT = "#1a1c21", "#585c66", "#d5d8de"
ACCENT, PALE, SECOND = "#1f5fa8", "#a9c1de", "#c2571a"

NAMED_CURVES = 8
"""With more classes than this, single curves carry no name and only their mean is followed."""

NUMBERED_CELLS = 25
"""Up to so many classes, cells of the confusion matrix show their counts."""

DOTS_PER_INCH = 150


def save_plots(evaluation: Evaluation, folder: Path, language: str = "en") -> tuple[Path, ...]:
    """Write the three plots of an evaluation.

    Args:
        evaluation: What to draw.
        folder: Made if it is not there; files of the same names are replaced.
        language: Of the words in them.

    Returns:
        The files: ``confusion.png``, ``precision_recall.png``, ``threshold.png``.

    Raises:
        InputError: If the folder cannot be written.
    """
    words = picture_words(language)
    figures = {
        "confusion.png": confusion_figure(evaluation, words),
        "precision_recall.png": precision_recall_figure(evaluation, words),
        "threshold.png": threshold_figure(evaluation, words),
    }
    paths = []
    for name, figure in figures.items():
        stream = io.BytesIO()
        in_every_letter(figure).savefig(stream, format="png", dpi=DOTS_PER_INCH)
        write_bytes(folder / name, stream.getvalue())
        paths.append(folder / name)
    return tuple(paths)


def confusion_figure(evaluation: Evaluation, words: Catalogue = ENGLISH) -> Figure:
    """What was taken for what; colour is the share of the row, numbers are counts.

    Classes that neither occur nor were reported are left out.
    """
    counts = evaluation.confusion.numpy()
    shown = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    shown[-1] = True
    counts = counts[shown][:, shown]
    every = _names(evaluation, words)
    names = [name for name, kept in zip(every, shown[:-1], strict=True) if kept]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 5.5 + 0.38 * min(len(counts), NUMBERED_CELLS)
    figure = _figure(side + 0.8, side)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = 10.0 if len(counts) <= NUMBERED_CELLS else max(5.0, min(9.0, 560 / len(counts)))
    across, down = [*names, words.say("plot.not_found")], [*names, words.say("plot.nothing_there")]
    axes.set_xticks(range(len(across)), across, rotation=90, fontsize=size)
    axes.set_yticks(range(len(down)), down, fontsize=size)
    axes.set_xticks(np.arange(len(names)) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names)) + 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    _write_counts(axes, counts, share, size)
    _frame(
        axes,
        (words.say("plot.confusion"), _setting(evaluation, words)),
        words.say("plot.confusion_across", thresholds=evaluation.thresholds),
        words.say("plot.confusion_down"),
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label(words.say("plot.share"), color=QUIET)
    bar.outline.set_visible(False)
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, share: np.ndarray, size: float) -> None:
    small = len(counts) > NUMBERED_CELLS
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=size * (0.75 if small else 1),
            color="white" if share[row, column] > 0.55 else INK,
        )


def precision_recall_figure(evaluation: Evaluation, words: Catalogue = ENGLISH) -> Figure:
    """Precision at each recall and IoU 0.5: one curve per class with objects, and their mean."""
    curves = evaluation.precision_figures.curves_50.numpy()
    known = [row for row in range(len(curves)) if not np.isnan(curves[row]).any()]
    figure = _figure(7.5, 5.5)
    axes = figure.add_subplot()
    named, names = len(known) <= NAMED_CURVES, _names(evaluation, words)
    for row in known:
        average = evaluation.precision_figures.per_class_50[row]
        axes.plot(
            RECALLS,
            curves[row],
            color=None if named else PALE,
            linewidth=1.3 if named else 0.7,
            label=words.say("plot.class_curve", name=names[row], average=average) if named else "_",
        )
    if known and not named:
        axes.plot([], [], color=PALE, linewidth=0.7, label=words.say("plot.single"))
    if known:
        average = evaluation.precision_figures.figures["AP50"]
        label = words.say("plot.mean_curve", count=len(known), average=average)
        axes.plot(RECALLS, curves[known].mean(axis=0), color=INK, linewidth=2.5, label=label)
        _legend(axes)
    else:
        _say(axes, words.say("plot.no_objects"))
    _unit_square(axes)
    _frame(
        axes,
        (words.say("plot.precision_recall"), _setting(evaluation, words)),
        words.say("plot.recall_means"),
        words.say("plot.precision_means"),
    )
    return figure


def threshold_figure(evaluation: Evaluation, words: Catalogue = ENGLISH) -> Figure:
    """Precision, recall and F1 of all classes together over the confidence threshold."""
    curve = evaluation.curve
    figure = _figure(7.5, 5.5)
    axes = figure.add_subplot()
    confidence = curve.confidence.numpy()
    best, at = curve.best
    if len(confidence) == 0 or math.isnan(float(curve.recall[0])):
        _say(axes, words.say("plot.nothing"))
    else:
        for values, name, colour in (
            (curve.precision, "precision", ACCENT),
            (curve.recall, "recall", SECOND),
            (curve.f1, "f1", INK),
        ):
            axes.step(
                confidence,
                values.numpy(),
                where="post",
                color=colour,
                linewidth=2.5 if name == "f1" else 1.4,
                label=words.say(f"plot.{name}"),
            )
        label = words.say("plot.best", best=best, at=at)
        axes.plot([at], [best], "o", color=INK, label=label)
    axes.axvline(
        evaluation.thresholds.default,
        color=QUIET,
        linewidth=1,
        linestyle="--",
        label=words.say("plot.operating", thresholds=evaluation.thresholds),
    )
    _legend(axes)
    _unit_square(axes)
    _frame(
        axes,
        (words.say("plot.threshold"), _setting(evaluation, words)),
        words.say("plot.threshold_across"),
        words.say("plot.threshold_down"),
    )
    return figure


def _figure(width: float, height: float) -> Figure:
    """An empty figure, sides in inches, with a margin all around."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))


def _names(evaluation: Evaluation, words: Catalogue) -> list[str]:
    return [drawn_name(name, label, words) for label, name in enumerate(evaluation.class_names)]


def _setting(evaluation: Evaluation, words: Catalogue) -> str:
    return words.say(
        "plot.setting",
        detector=legible(evaluation.detector),
        dataset=legible(evaluation.dataset),
        images=words.counted("images", evaluation.n_images),
    )


def _frame(axes: Axes, title: tuple[str, str], across: str, down: str) -> None:
    headline, detail = title
    axes.set_title(headline, color=INK, fontsize=13, fontweight="bold", loc="left", pad=24)
    axes.annotate(
        detail, (0, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points",
        color=QUIET, fontsize=9, in_layout=False,
    )  # fmt: skip
    axes.set_xlabel(across, color=QUIET)
    axes.set_ylabel(down, color=QUIET)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_color(FAINT)


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_axisbelow(True)
    axes.grid(color=FAINT, linewidth=0.5)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=9)


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color=QUIET)
