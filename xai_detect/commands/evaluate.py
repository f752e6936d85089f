"""``xai-detect evaluate``: AP, precision and recall, and how often the verdict is right."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import manual, options, progress


def evaluate(
    data: Annotated[Path, typer.Argument(help=manual.say("help.data"))],
    model: options.Model = "screening",
    images: options.Images = None,
    split: options.Split = None,
    budget: options.Spent = "standard",
    references: options.References = None,
    second: options.SecondModel = None,
    policy: options.PolicyFile = None,
    explain: options.Explains = True,
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    depth: options.Depth = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    plots: Annotated[Path | None, typer.Option(help=manual.say("help.plots"))] = None,
    detections: options.Coco = None,
    out: options.Kept = None,
    copy_images: options.Copies = False,
    lang: options.Language = None,
    as_json: options.AsJson = False,
) -> None:
    """AP, AP50, AP75, precision and recall, and how often the verdict is right."""
    from xai_detect.commands import ending, judging, prepare
    from xai_detect.data.classes import fitted
    from xai_detect.evaluation.evaluate import evaluate as figures_of

    options.fit_together(out, detections, explain, copy_images)
    agreed = judging.terms(budget, policy, lang)
    read = prepare.truth(data, agreed.words, images, split)
    found = prepare.detector(model, agreed.words, domain, device, threads, imgsz, iou, engine)
    dataset = fitted(read, found.class_names)
    run = judge = None
    if explain:
        given = {"truth": data, "engine": engine, "images": images, "split": split, "depth": depth}
        run, judge = judging.judged_data(
            agreed, found, dataset, references=references, other=second, device=device, out=out,
            confidence=conf, iou=iou, given=given, copy_images=copy_images,
        )  # fmt: skip
    with progress.work(run, "evaluating", len(dataset), agreed.words) as step:
        result = figures_of(
            found, dataset, confidence=conf, explain=explain, inspector=judge,
            progress=lambda *_: step(),
        )  # fmt: skip
    ended = None if run is None else run.finish()
    ending.tell_evaluation(result, dataset, ended, plots, detections, as_json, agreed.words)
