"""``xai-detect inspect``: find objects, say what decides each and which can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from xai_detect.commands import manual, options, progress


def inspect(
    source: Annotated[list[str], typer.Argument(help=manual.say("help.source"))],
    model: options.Model = "screening",
    budget: options.Spent = "standard",
    references: options.References = None,
    second: options.SecondModel = None,
    method: options.AddedMethod = None,
    setting: options.Setting = None,
    asked: options.AlsoAsked = None,
    foreground: options.Marked = None,
    out: Annotated[Path, typer.Option(help=manual.say("help.out"))] = Path("run"),
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    depth: options.Depth = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    policy: options.PolicyFile = None,
    prevalence: options.Prevalence = None,
    truth: options.Annotations = None,
    copy_images: options.Copies = False,
    fail_on: options.FailsOn = None,
    lang: options.Language = None,
    as_json: options.AsJson = False,
) -> None:
    """Find objects, say what decides each, and which detections can be trusted."""
    from xai_detect.batch import each, given, sources
    from xai_detect.commands import ending, judging, prepare, usual

    paths, as_class = sources.find_sources(source), options.asked_class(asked, fail_on)
    agreed = judging.terms(budget, policy, lang, method, setting, prevalence)
    found = prepare.detector(model, agreed.words, domain, device, threads, imgsz, iou, engine)
    known = prepare.ground_truth(truth, found.class_names, agreed.words)
    judge = judging.judge(
        found, agreed, paths, references=references, other=second, device=device, out=out,
        as_class=as_class, foreground=foreground,
    )  # fmt: skip
    known = usual.with_usual(known, judge)
    further = {"truth": truth, "engine": engine, "foreground": foreground, "depth": depth}
    header = judge.header(conf, iou, further, known)
    run = judging.begun(out, header, copy_images)
    held = run.recognise(paths)
    judging.tell_work(judge, [path for path in paths if path not in held], conf, len(held), out)
    with progress.work(run, "inspecting", len(paths), agreed.words) as step:
        files = map(given.Item.of, paths)
        for _ in each.inspect_each(found, files, judge, conf, run, held=held, truth=known):
            step()
    ending.tell_run(run.finish(), {str(path) for path in paths}, as_json, fail_on)
