"""How records show themselves in notebooks, figures and tables."""

import html as escaping
import importlib
import io
import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import pyarrow as pa
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.listing import Listing
from xai_detect.explainers.protocol import Method
from xai_detect.output.drawing import panels, views
from xai_detect.output.drawing.axes import chosen_style, draw, new_axes
from xai_detect.output.drawing.states import STATES, level_word
from xai_detect.output.folder.judged import KINDS
from xai_detect.output.folder.load import Run
from xai_detect.output.folder.pictures import encode_webp
from xai_detect.output.folder.records import Record, record_of
from xai_detect.output.report.pictures import data_uri
from xai_detect.output.report.wording import evidence_lines
from xai_detect.output.tables import evidence_table
from xai_detect.values.detections import Detections, Target
from xai_detect.values.findings import Explanation, Inspection, Verdict
from xai_detect.words.catalogue import ENGLISH


def plot(
    shown: Inspection | Explanation | Sequence[Explanation],
    image: Float[Tensor, "3 h w"] | None = None,
    *,
    row: int = 0,
    map: str = "detected",  # noqa: A002 - the name that the report and the folder use
    style: str = "auto",
    ax: Axes | None = None,
) -> Any:
    """Draw a detection with a map, or several maps beside each other, on matplotlib axes.

    Args:
        shown: An inspection, a map, or several maps of one image.
        image: RGB in [0, 1]; an inspection has its own.
        row: Which detection of an inspection.
        map: Which of its maps: ``detected``, ``class``, ``between`` or ``added``.
        style: ``contours``, ``heat`` on a grey copy, or ``auto``: contours on X-ray images.
        ax: Where to draw; None makes a figure, which is ``axes.figure``.

    Returns:
        The axes; a list of them for several maps.

    Raises:
        InputError: If there is no such detection, map or style, or the sizes differ.
    """
    if isinstance(shown, Inspection):
        return _plot_inspection(shown, row, map, style, ax)
    if isinstance(shown, Explanation):
        return _plot_map(shown, image, style, ax)
    maps = list(shown)
    if not maps:
        raise InputError("there is no map to draw; pass at least one")
    if ax is not None:
        raise InputError(f"{len(maps)} maps were given and one place to draw; leave ax out")
    size = (maps[0].heatmap.shape[0], maps[0].heatmap.shape[1])
    places = new_axes(size, len(maps))
    return [_plot_map(made, image, style, place) for made, place in zip(maps, places, strict=True)]


def gallery(
    detector: Detector,
    image: Float[Tensor, "3 h w"],
    target: Target,
    methods: Sequence[str | Method[Any]],
    *,
    columns: int = 4,
    style: str = "auto",
) -> list[Axes]:
    """One figure of many methods on one detection, with what each cost beneath it.

    Args:
        detector: The detector that found the target.
        image: RGB in [0, 1].
        target: The detection.
        methods: Names in ``METHODS``, or methods with hyper-parameters of their own.
        columns: Maps beside each other.
        style: As for ``plot``.

    Returns:
        The axes, one for each method; ``axes[0].figure`` is the figure.

    Raises:
        InputError: If there is no method, or one does not suit the detector.
    """
    if not methods:
        raise InputError("there is no method to show; name at least one")
    made = [explain(method, detector, image, [target])[0] for method in methods]
    places = new_axes((image.shape[1], image.shape[2]), len(made), columns)
    for found, place in zip(made, places, strict=True):
        _plot_map(found, image, chosen_style(style, detector.provenance.domain), place)
        measured = found.measured
        passes = sum(measured.get(name, 0.0) for name in ("forward_passes", "backward_passes"))
        said = f"{measured['seconds']:.2g} s" + (f", {passes:.0f} passes" if passes else "")
        place.set_title(found.method, loc="left", fontsize=9)
        place.set_xlabel(said, fontsize=8)
    return places


def _plot_inspection(found: Inspection, row: int, kind: str, style: str, ax: Axes | None) -> Axes:
    target, size = found.detections.target(row), found.detections.image_size
    layers = {shown.kind: shown for shown in panels.scene(found, row).layers}
    if kind not in KINDS:
        raise InputError(f"there is no map {kind!r}; choose from {', '.join(KINDS)}")
    level = level_word(found.verdicts[row].level)
    layer = layers.get(kind)
    title = f"{STATES[found.verdicts[row].level].mark} {level}: {target.name} {target.score:.2f}"
    return draw(
        ax or new_axes(size)[0], found.image, target.box, layer,
        chosen_style(style, found.provenance.domain), title,
    )  # fmt: skip


def _plot_map(
    made: Explanation, image: Float[Tensor, "3 h w"] | None, style: str, ax: Axes | None
) -> Axes:
    size = (made.heatmap.shape[0], made.heatmap.shape[1])
    if image is not None and tuple(image.shape[1:]) != size:
        raise InputError(
            f"the image is {image.shape[2]} x {image.shape[1]}, but the map is of one of "
            f"{size[1]} x {size[0]} pixels: pass the image that was explained"
        )
    score = 0.5 if math.isnan(made.target.score) else made.target.score
    layer = panels.layer("", made, size, worth=panels.worth(score))
    title = f"{made.target.name}, {made.method}"
    return draw(
        ax or new_axes(size)[0], image, made.target.box, layer, chosen_style(style, ""), title
    )


def to_image(
    shown: Inspection | Explanation,
    image: Float[Tensor, "3 h w"] | None = None,
    *,
    row: int | None = None,
    language: str = "en",
) -> Image.Image:
    """The picture of an inspection, or of a map, as a PIL image.

    Args:
        shown: An inspection or a map.
        image: RGB in [0, 1], for a map.
        row: One detection of an inspection, with its maps; None draws the whole image.
        language: Of the words in it.
    """
    if isinstance(shown, Inspection):
        if row is None:
            return Image.fromarray(views.overview(shown, language))
        shown.detections.target(row)
        return Image.fromarray(views.view(shown, row, language))
    return Image.open(io.BytesIO(_png(_plot_map(shown, image, "auto", None)))).convert("RGB")


def _png(axes: Axes) -> bytes:
    """The figure that axes are on."""
    stream = io.BytesIO()
    FigureCanvasAgg(axes.figure).print_png(stream)
    return stream.getvalue()


def to_arrow(shown: Inspection | Run) -> pa.Table:
    """A row per detection; see ``tables.evidence_table``."""
    return evidence_table(_records(shown))


def _records(shown: Inspection | Run) -> Sequence[Record]:
    return shown.records if isinstance(shown, Run) else [record_of(shown)]


def to_frame(shown: Inspection | Run) -> Any:
    """The same as a data frame of pandas.

    Raises:
        InputError: If pandas is not installed.
    """
    try:
        importlib.import_module("pandas")
    except ImportError as error:
        raise InputError(
            "to_frame needs pandas, which is not installed: pip install pandas, or use to_arrow"
        ) from error
    return to_arrow(shown).to_pandas()


@singledispatch
def html(shown: object) -> str:
    """What a notebook shows of a record."""
    return f"<code>{escaping.escape(repr(shown))}</code>"


@html.register
def _inspection(shown: Inspection) -> str:
    picture = _figure(views.overview(shown), repr(shown))
    rows = "".join(
        f"<li><b>{escaping.escape(level_word(verdict.level))}: {escaping.escape(own.name)} "
        f"{own.score:.2f}</b> {escaping.escape(verdict.sentence)}{_folded(shown, row)}</li>"
        for row, (own, verdict) in enumerate(zip(shown.detections, shown.verdicts, strict=True))
    )
    return f"<div>{picture}<ul>{rows or '<li>nothing found</li>'}</ul></div>"


def _folded(shown: Inspection, row: int) -> str:
    lines = "".join(
        f"<tr><td>{escaping.escape(line.name)}</td><td>{escaping.escape(line.value)}</td></tr>"
        for line in evidence_lines(shown.evidence[row])
    )
    title = escaping.escape(ENGLISH.say("card.numbers"))
    return f"<details><summary>{title}</summary><table>{lines}</table></details>"


@html.register
def _explanation(shown: Explanation) -> str:
    uri = data_uri(_png(_plot_map(shown, None, "contours", None)), ".png")
    words = escaping.escape(repr(shown))
    return f'<figure><img src="{uri}" alt="{words}"><figcaption>{words}</figcaption></figure>'


@html.register
def _detections(shown: Detections) -> str:
    rows = "".join(
        f"<tr><td>{escaping.escape(own.name)}</td><td>{own.score:.2f}</td>"
        f"<td>{', '.join(f'{side:.0f}' for side in own.box)}</td></tr>"
        for own in shown
    )
    head = "<tr><th>class</th><th>score</th><th>x1, y1, x2, y2</th></tr>"
    return f"<table>{head}{rows}</table>"


@html.register
def _listing(shown: Listing) -> str:
    rows = "".join(
        f"<tr><td><b>{escaping.escape(row.name)}</b><br>{escaping.escape(row.summary)}</td>"
        f"<td>{escaping.escape(row.needs)}</td><td>{row.forward_passes:.0f} + "
        f"{row.backward_passes:.0f}</td><td>{escaping.escape(row.citation)}</td></tr>"
        for row in shown
    )
    head = "<tr><th>method</th><th>needs</th><th>passes</th><th>source</th></tr>"
    return f"<table>{head}{rows}</table>"


@html.register
def _verdict(shown: Verdict) -> str:
    word, sentence, numbers = (
        escaping.escape(text) for text in (level_word(shown.level), shown.sentence, shown.numbers)
    )
    return f"<p><b>{word}.</b> {sentence}</p><details><summary>…</summary>{numbers}</details>"


@html.register
def _run(shown: Run) -> str:
    lines = "".join(f"<li>{escaping.escape(repr(found))}</li>" for found in shown.records[:20])
    return f"<p><code>{escaping.escape(repr(shown))}</code></p><ul>{lines}</ul>"


def _figure(array: Any, words: str) -> str:
    uri = data_uri(encode_webp(array), ".webp")
    return f'<img src="{uri}" alt="{escaping.escape(words)}" style="max-width:100%">'
