"""``xai-detect explain``: why this class, and why not that one? Maps side by side, with numbers."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import manual, options, progress


def explain(
    image: Annotated[Path, typer.Argument(help=manual.say("help.image"))],
    model: options.Model = "screening",
    classifier: options.Classifies = False,
    architecture: options.Architecture = None,
    classes: options.ClassList = None,
    multi_label: options.MultiLabel = False,
    preprocessing: options.Preprocessing = None,
    asked: options.Classes = None,
    contrast: options.Contrast = None,
    method: options.MethodName = "integrated_gradients",
    setting: options.Setting = None,
    variants: options.Variants = None,
    foreground: options.Foreground = None,
    fill: Annotated[str, typer.Option(help=manual.say("help.fill"))] = "auto",
    out: Annotated[Path | None, typer.Option(help=manual.say("help.figure"))] = None,
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    depth: options.Depth = None,  # noqa: ARG001 - used when it is parsed
    device: options.Device = "auto",
    threads: options.Threads = None,
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    lang: options.Language = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the evidence for several classes and settings side by side."""
    from xai_detect.commands import ending, prepare, questions
    from xai_detect.detectors.classifier.files import is_classifier
    from xai_detect.detectors.place import place
    from xai_detect.inspection.comparison import compare
    from xai_detect.values.images import load_image

    questions.check_figure(out)
    words = progress.chosen_words(lang)
    contrast, setting = options.contrasted(contrast, setting)
    pixels = load_image(image)
    columns, mask = questions.methods(method, setting, variants), questions.marked(foreground)
    own = prepare.described(architecture, classes, multi_label, imgsz)
    whole = classifier or own is not None or preprocessing is not None or is_classifier(model)
    if whole:
        given = (preprocessing, own)
        found = prepare.classifier(model, words, domain, device, threads, engine, *given)
    else:
        found = prepare.detector(model, words, domain, device, threads, imgsz, iou, engine)
    placed = place(found, pixels)
    targets = questions.targets(found, placed, asked, None if whole else conf, words)
    result = compare(found, placed, targets, columns, foreground=mask, fill=fill, contrast=contrast)
    ending.tell_comparison(result, image, found.provenance.name, out, as_json, words)
