"""``xai-detect evaluate``: AP, precision and recall, and how often the verdict is right."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import options, progress
from xai_detect.errors import InputError


def evaluate(
    data: Annotated[Path, typer.Argument(help="COCO JSON, YOLO data.yaml, VOC or KITTI folder.")],
    model: options.Model = "screening",
    images: options.Images = None,
    split: options.Split = None,
    budget: options.Spent = "standard",
    references: options.References = None,
    second: options.SecondModel = None,
    policy: options.PolicyFile = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Verdicts too, or detection alone.")
    ] = True,
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for plots.")] = None,
    detections: options.Coco = None,
    out: options.Kept = None,
    lang: options.Language = None,
    as_json: options.AsJson = False,
) -> None:
    """AP, AP50, AP75, precision and recall, and how often the verdict is right."""
    from xai_detect.commands import ending, prepare
    from xai_detect.data.read import read_dataset
    from xai_detect.evaluation.evaluate import evaluate as figures_of
    from xai_detect.trust.budget import budget_named
    from xai_detect.words.catalogue import catalogue, of_locale

    if out is not None and not explain:
        raise InputError("--out keeps verdicts, and --no-explain gives none; leave one of them out")
    if detections is not None and detections.is_dir():
        raise InputError(f"--detections is the folder {detections}; expected the name of a file")
    dataset, spend = read_dataset(data, images=images, split=split), budget_named(budget)
    found = prepare.detector(model, domain, device, threads, imgsz, iou, engine)
    run = judge = None
    if explain:
        rules, language = prepare.policy(policy), catalogue(lang or of_locale()).language
        paths = [scan.path for scan in dataset.scans]
        others = prepare.references(found, references, paths, spend, out)
        judge = prepare.inspector(
            found, spend=spend, others=others, rules=rules, language=language,
            asked_second=prepare.second(found, second, device),
        )  # fmt: skip
        header = prepare.header(
            found, None, conf, iou, rules, spend, others, language, None,
            {"truth": data, "engine": engine, "images": images, "split": split, "second": second},
        )  # fmt: skip
        run, judge = prepare.kept(out, header, judge, dataset)
        done = frozenset() if run is None else run.done
        left = [scan.path for scan in dataset.scans if scan.name not in done]
        prepare.tell_work(found, spend, left, conf)
    with progress.kept(run), progress.bar("evaluating", len(dataset)) as step:
        result = figures_of(
            found, dataset, confidence=conf, explain=explain, inspector=judge,
            progress=lambda *_: step(),
        )  # fmt: skip
    ended = None if run is None else run.finish()
    ending.tell_evaluation(result, dataset, ended, plots, detections, as_json)
