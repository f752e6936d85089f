"""``xai-detect inspect``: find objects, say what decides each and which can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import options, progress


def inspect(
    source: Annotated[list[str], typer.Argument(help="Files, folders, globs or .txt lists.")],
    model: options.Model = "screening",
    budget: options.Spent = "standard",
    references: options.References = None,
    second: options.SecondModel = None,
    method: options.AddedMethod = None,
    setting: options.Setting = None,
    asked: Annotated[
        list[str] | None,
        typer.Option("--class", help="Also ask every box about this class; once."),
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
    prevalence: options.Prevalence = None,
    truth: options.Annotations = None,
    fail_on: options.FailsOn = None,
    lang: options.Language = None,
    as_json: options.AsJson = False,
) -> None:
    """Find objects, say what decides each, and which detections can be trusted."""
    from xai_detect.batch.many import inspect_all
    from xai_detect.batch.sources import find_sources
    from xai_detect.commands import ending, prepare
    from xai_detect.output.run import open_run
    from xai_detect.trust.budget import budget_named
    from xai_detect.words.catalogue import catalogue, of_locale

    sources, as_class = find_sources(source), options.only("--class", asked)
    chosen, rules, spend = (
        prepare.method(method, setting), prepare.policy(policy), budget_named(budget),
    )  # fmt: skip
    language = catalogue(lang or of_locale()).language
    prepare.refuse_prevalence(prevalence)
    detector = prepare.detector(model, domain, device, threads, imgsz, iou, engine)
    prepare.check(detector, chosen, as_class)
    known = prepare.ground_truth(truth, detector.class_names)
    other = prepare.second(detector, second, device)
    drawn = prepare.references(detector, references, sources, spend, out)
    header = prepare.header(
        detector, chosen, conf, iou, rules, spend, drawn, language, as_class,
        {"truth": truth, "engine": engine, "second": second},
        () if known is None else known.category_ids,
    )  # fmt: skip
    run = open_run(out, header, command=prepare.command())
    held = run.recognise(sources)
    left = [path for path in sources if path not in held]
    prepare.tell_work(detector, spend, left, conf, done=len(sources) - len(left), folder=out)
    judge = prepare.inspector(
        detector, spend=spend, chosen=chosen, others=drawn, as_class=as_class, rules=rules,
        asked_second=other, language=language,
    )  # fmt: skip
    with progress.kept(run), progress.bar("inspecting", len(sources)) as step:
        inspect_all(
            detector, sources, run, judge, held=held, confidence=conf, step=step, truth=known
        )
    ending.tell_run(run.finish(), {str(path) for path in sources}, as_json, fail_on)
