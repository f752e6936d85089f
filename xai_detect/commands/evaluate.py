"""``xai-detect evaluate``: AP, precision and recall, and how often the verdict is right."""

from dataclasses import replace
from pathlib import Path

import typer

from xai_detect.batch.many import expected_seconds, remembered
from xai_detect.commands import options, prepare, text
from xai_detect.data.read import read_dataset
from xai_detect.errors import InputError
from xai_detect.evaluation.evaluate import evaluate
from xai_detect.evaluation.outcomes import category_ids
from xai_detect.explainers.methods import build_method
from xai_detect.output.drawing.plots import save_plots
from xai_detect.output.exchange import write_coco_results
from xai_detect.output.write import open_run
from xai_detect.trust.policy import DEFAULT_POLICY


def run(
    data: Path,
    *,
    model: str,
    images: Path | None,
    split: str | None,
    method: str,
    setting: list[str] | None,
    explain: bool,
    conf: float,
    iou: float,
    imgsz: int | None,
    device: str,
    engine: str,
    domain: str | None,
    plots: Path | None,
    out: Path | None,
    detections: Path | None,
    as_json: bool,
) -> None:
    """Evaluate a detector over a data set and print the figures.

    Raises:
        InputError: If an option makes no sense, or the data cannot be read.
        typer.Exit: With 130 if interrupted.
    """
    chosen = build_method(method, **options.settings(setting))
    dataset = read_dataset(data, images=images, split=split)
    detector = prepare.load(model, domain, device, imgsz, iou, engine)
    if out is not None and not explain:
        raise InputError("--out keeps verdicts, and --no-explain gives none; leave one of them out")
    kept, inspector = None, prepare.inspector(detector, chosen) if explain else None
    if inspector is not None and out is not None:
        header = prepare.header(detector, chosen, conf, iou, None, DEFAULT_POLICY, data, engine)
        read = {"images": images and str(images.resolve()), "split": split}
        chosen_from = {name: value for name, value in read.items() if value is not None}
        header = replace(
            header,
            options={**header.options, **chosen_from},
            category_ids=category_ids(dataset, detector.class_names),
        )
        kept = open_run(out, header, command=options.command())
        inspector = remembered(kept, inspector, dataset)
    if explain:
        known = frozenset() if kept is None else kept.done
        paths = [scan.path for scan in dataset.scans if scan.name not in known]
        options.tell_cost(expected_seconds(detector, chosen, paths, conf), len(paths))
    try:
        with options.bar("evaluating", len(dataset)) as step:
            result = evaluate(
                detector,
                dataset,
                confidence=conf,
                explain=explain,
                inspector=inspector,
                progress=lambda *_: step(),
            )
    except KeyboardInterrupt:
        if kept is not None:
            kept.finish("interrupted")
            options.notes.print(f"{out} keeps what is done; run the same command to go on")
        raise typer.Exit(130) from None
    if kept is not None:
        options.notes.print(f"report: {kept.finish().folder / 'report.html'}")
    for problem in result.problems:
        options.notes.print(f"note: {problem}")
    if detections is not None:
        write_coco_results(detections, result.detections.items(), dataset.class_ids)
    if plots is not None:
        save_plots(result, plots)
    typer.echo(text.as_json(result.as_dict()) if as_json else text.evaluation_lines(result))
