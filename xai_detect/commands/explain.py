"""``xai-detect explain``: why this class, and why not that one? Maps side by side, with numbers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import typer
from jaxtyping import Bool
from torch import Tensor

from xai_detect.commands import options, prepare, text
from xai_detect.detectors.classifier.files import is_classifier
from xai_detect.detectors.classifier.load import load_classifier
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Method
from xai_detect.inspection.comparison import REMOVALS, Comparison, compare
from xai_detect.inspection.image import detect
from xai_detect.output.drawing.side_by_side import save_figure
from xai_detect.values.detections import Target
from xai_detect.values.images import load_image

MOST_BOXES = 6
"""Of a detector's detections, so many are shown; a figure with more rows is hard to read."""


def run(
    image: Path,
    *,
    model: str,
    classifier: bool,
    asked: list[str] | None,
    method: str,
    setting: list[str] | None,
    variants: list[str] | None,
    foreground: Path | None,
    fill: str,
    out: Path | None,
    conf: float,
    iou: float,
    imgsz: int | None,
    device: str,
    engine: str,
    domain: str | None,
    as_json: bool,
) -> None:
    """Explain one image in all the ways asked for, print the numbers and write the figure.

    Raises:
        InputError: If an option makes no sense, or nothing was found.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise InputError(f"--out is {out}; expected a name that ends in .png")
    methods = _variants(method, setting, variants)
    pixels = load_image(image)
    mask = None if foreground is None else _marked(foreground)
    if classifier or is_classifier(model):
        found: Detector = load_classifier(model, domain=domain, device=device, engine=engine)
        targets = _labels(found, pixels, asked)
    else:
        found = prepare.load(model, domain, device, imgsz, iou, engine)
        targets = _boxes(found, pixels, asked, conf)
    result = compare(found, pixels, targets, methods, foreground=mask, fill=fill)
    if out is not None:
        save_figure(result, out)
    if as_json:
        typer.echo(text.as_json(_content(result, image, found, out)))
    else:
        typer.echo(_lines(result, out))


def _marked(path: Path) -> Bool[Tensor, "h w"]:
    """What a mask image marks: all that is not black."""
    found = load_image(path).amax(dim=0) > 0
    if bool(found.all()) or not bool(found.any()):
        which = "everything" if bool(found.all()) else "nothing"
        raise InputError(f"{path} marks {which}; expected a mask, black where nothing matters")
    return found


def _variants(
    method: str, setting: Sequence[str] | None, variants: Sequence[str] | None
) -> dict[str, Method[Any]]:
    common = options.settings(setting)
    return {
        one or method: build_method(method, **{**common, **options.settings(one.split(";"))})
        if one
        else build_method(method, **common)
        for one in variants or [""]
    }


def _labels(
    classifier: Detector, pixels: torch.Tensor, asked: Sequence[str] | None
) -> list[Target]:
    """What was asked of a classifier, else its best answer."""
    found = list(detect(classifier, pixels, 0.0))
    if not found:
        raise InputError("the classifier gives every class a probability of 0; check its weights")
    known = {one.name: one for one in found}
    return [known.get(name) or found[0].as_class(name) for name in asked or [found[0].name]]


def _boxes(
    detector: Detector, pixels: torch.Tensor, asked: Sequence[str] | None, conf: float
) -> list[Target]:
    """Each detection with its own class, or with every class asked about."""
    found = list(detect(detector, pixels, conf))
    if not found:
        raise InputError(f"nothing was found above {conf:g}; lower --conf")
    most = max(1, MOST_BOXES // len(asked)) if asked else MOST_BOXES
    if len(found) > most:
        options.notes.print(f"note: the best {most} of {len(found)} detections are shown")
    return [one.as_class(name) for one in found[:most] for name in asked or [one.name]]


def _content(result: Comparison, image: Path, model: Detector, out: Path | None) -> dict[str, Any]:
    return {
        "image": str(image),
        "model": model.provenance.name,
        "fill": result.fill,
        "figure": None if out is None else str(out),
        "maps": [
            {
                "class": panel.explanation.target.name,
                "box": list(panel.explanation.target.box),
                "variant": panel.variant,
                "method": panel.explanation.method,
                "settings": dict(panel.explanation.settings),
                **panel.values,
                "measured": dict(panel.explanation.measured),
            }
            for row in result.rows
            for panel in row
        ],
    }


def _lines(result: Comparison, out: Path | None) -> str:
    """A paragraph per question: its scores, then a line per map."""
    lines = []
    for row in result.rows:
        target, values = row[0].explanation.target, row[0].values
        lines.append(f"{target.name}: score {values['score']:.3f}")
        if not math.isnan(values["foreground_area"]):
            without = [
                f"without the {name.partition('_')[2]} {values[name]:.3f}" for name in REMOVALS
            ]
            lines[-1] += f", {', '.join(without)} (fill: {result.fill})"
        width = max(len(panel.variant) for panel in row)
        for panel in row:
            share, area = panel.values["foreground_share"], panel.values["foreground_area"]
            words = f"  {panel.variant:{width}s}  sum {panel.values['sum']:+.3f}"
            if not math.isnan(area):
                held = "none" if math.isnan(share) else f"{100 * share:.0f} %"
                words += (
                    f", positive evidence on the foreground: {held} (chance {100 * area:.0f} %)"
                )
            lines.append(words)
    if out is not None:
        lines.append(f"figure: {out}")
    return "\n".join(lines)
