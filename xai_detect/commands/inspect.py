"""``xai-detect inspect``: find objects, explain each, say which can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import options, progress


def inspect(
    source: Annotated[list[str], typer.Argument(help="Files, folders, globs or .txt lists.")],
    model: options.Model = "screening",
    method: options.MethodName = "integrated_gradients",
    setting: options.Setting = None,
    asked: Annotated[
        list[str] | None,
        typer.Option("--class", help="Ask every box about this class instead; once."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished one goes on.")] = Path("run"),
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    policy: options.PolicyFile = None,
    truth: options.Annotations = None,
    fail_on: options.FailsOn = None,
    as_json: options.AsJson = False,
) -> None:
    """Find objects, explain each, and say which detections can be trusted."""
    from xai_detect.batch.many import inspect_all
    from xai_detect.batch.sources import find_sources
    from xai_detect.commands import ending, prepare
    from xai_detect.output.run import open_run

    sources, as_class = find_sources(source), options.only("--class", asked)
    chosen, rules = prepare.method(method, setting), prepare.policy(policy)
    detector = prepare.detector(model, domain, device, threads, imgsz, iou, engine)
    prepare.check(detector, chosen, as_class)
    known = prepare.ground_truth(truth, detector.class_names)
    ids = () if known is None else known.category_ids
    header = prepare.header(
        detector, chosen, conf, iou, as_class, rules, truth, engine, category_ids=ids
    )
    run = open_run(out, header, command=prepare.command())
    held = run.recognise(sources)
    left = [path for path in sources if path not in held]
    prepare.tell_work(detector, chosen, left, conf, done=len(sources) - len(left), folder=out)
    with progress.kept(run), progress.bar("inspecting", len(sources)) as step:
        inspect_all(
            detector, sources, run, held=held, method=chosen, confidence=conf,
            as_class=as_class, policy=rules, step=step, truth=known,
        )  # fmt: skip
    ending.tell_run(run.finish(), {str(path) for path in sources}, as_json, fail_on)
