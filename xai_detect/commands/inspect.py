"""``xai-detect inspect``: find objects, explain each, say which can be trusted."""

from dataclasses import replace
from pathlib import Path

import typer

from xai_detect.batch.many import expected_seconds, inspect_all
from xai_detect.batch.sources import find_sources, shown_path
from xai_detect.commands import options, prepare, text
from xai_detect.errors import InputError
from xai_detect.explainers.explain import require
from xai_detect.explainers.methods import build_method
from xai_detect.output.folder.load import Run
from xai_detect.output.write import open_run
from xai_detect.trust.policy import DEFAULT_POLICY, read_policy
from xai_detect.values.detections import label_of
from xai_detect.values.findings import Level


def run(
    source: list[str],
    *,
    model: str,
    method: str,
    setting: list[str] | None,
    as_class: str | None,
    out: Path,
    conf: float,
    iou: float,
    imgsz: int | None,
    device: str,
    engine: str,
    domain: str | None,
    policy: Path | None,
    truth: Path | None,
    fail_on: options.FailOn | None,
    as_json: bool,
) -> None:
    """Inspect every image into one run folder and print what was found.

    Raises:
        InputError: If an option makes no sense, or no image could be inspected.
        typer.Exit: With 3 for a verdict that ``fail_on`` names, with 130 if interrupted.
    """
    sources = find_sources(source)
    chosen = build_method(method, **options.settings(setting))
    rules = read_policy(policy) if policy else DEFAULT_POLICY
    detector = prepare.load(model, domain, device, imgsz, iou, engine)
    require(chosen, detector)
    if as_class is not None:
        label_of(as_class, detector.class_names)
    known = None if truth is None else prepare.ground_truth(truth, detector.class_names)
    header = prepare.header(detector, chosen, conf, iou, as_class, rules, truth, engine)
    if known is not None:
        header = replace(header, category_ids=known.category_ids)
    run = open_run(out, header, command=options.command())
    held = run.recognise(sources)
    left = [one for one in sources if one not in held]
    if len(left) < len(sources):
        options.notes.print(
            f"{out}: {len(sources) - len(left)} of {len(sources)} images are done already"
        )
    options.tell_cost(expected_seconds(detector, chosen, left, conf), len(left))
    try:
        with options.bar("inspecting", len(sources)) as step:
            inspect_all(
                detector,
                sources,
                run,
                method=chosen,
                confidence=conf,
                as_class=as_class,
                policy=rules,
                step=step,
                truth=known,
            )
    except KeyboardInterrupt:
        run.finish("interrupted")
        options.notes.print(f"{out} keeps what is done; run the same command to go on")
        raise typer.Exit(130) from None
    _tell(run.finish(), {str(one) for one in sources}, as_json, fail_on)


def _tell(run: Run, sources: set[str], as_json: bool, fail_on: options.FailOn | None) -> None:
    shown = [one for one in run.records if one.source in sources]
    failed = {source: why for source, why in run.failed.items() if source in sources}
    levels = [verdict.level for one in shown for verdict in one.verdicts]
    if as_json:
        typer.echo(text.run_json(run, shown, failed))
    elif shown:
        typer.echo(text.run_lines(run, shown, shown_path))
    if not shown and len(failed) == 1:
        raise InputError(*failed.values())
    for source, why in failed.items():
        typer.echo(f"failed: {shown_path(source)}: {why}", err=True)
    if not shown:
        raise InputError(f"none of the {len(failed)} images could be inspected")
    # an image without a verdict has not passed
    if fail_on is not None and failed:
        raise typer.Exit(3)
    bad = {Level.UNTRUSTED} | ({Level.UNCERTAIN} if fail_on is options.FailOn.UNCERTAIN else set())
    if fail_on is not None and bad & set(levels):
        raise typer.Exit(3)
