"""The command line: parse, call, print. Progress and notes on stderr, results on stdout.

Exit codes: 0 done, 1 the input was wrong, 2 usage, 3 ``--fail-on`` found one, 130 interrupted.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

import xai_detect
from xai_detect import doctor as health
from xai_detect import explain_command, options
from xai_detect.batch import (
    expected_seconds,
    find_sources,
    inspect_all,
    remembered,
    shown_path,
)
from xai_detect.errors import InputError, XaiDetectError
from xai_detect.explainers import listing
from xai_detect.explainers.methods import build_method
from xai_detect.output import text
from xai_detect.output.load import Run
from xai_detect.output.run import open_run
from xai_detect.trust.policy import DEFAULT_POLICY, read_policy
from xai_detect.types import Level, label_of

app = typer.Typer(
    name="xai-detect",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Explain object detectors and say which detections the evidence supports.",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"xai-detect {xai_detect.__version__}")
        raise typer.Exit


@app.command()
def inspect(
    source: Annotated[list[str], typer.Argument(help="Files, folders, globs or .txt lists.")],
    model: options.Model = "screening",
    method: options.MethodName = "integrated_gradients",
    setting: options.Setting = None,
    as_class: Annotated[
        str | None, typer.Option("--class", help="Ask every box about this class instead.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished one goes on.")] = Path("run"),
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    device: options.Device = "cpu",
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    policy: Annotated[Path | None, typer.Option(help="Limits and sentences, TOML.")] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Annotations of these images: say what is right, wrong, missed."),
    ] = None,
    fail_on: Annotated[
        options.FailOn | None, typer.Option(help="Exit with 3 if there is one.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Find objects, explain each, and say which detections can be trusted."""
    sources = find_sources(source)
    chosen = build_method(method, **options.settings(setting))
    rules = read_policy(policy) if policy else DEFAULT_POLICY
    detector = options.load(model, domain, device, imgsz, iou, engine)
    if as_class is not None:
        label_of(as_class, detector.class_names)
    known = None if truth is None else options.ground_truth(truth, detector.class_names)
    header = options.header(detector, chosen, conf, iou, as_class, rules, truth, engine)
    run = open_run(out, header, command=options.command())
    left = [one for one in sources if str(one) not in run.done]
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
    _print_run(run.finish(), {str(one) for one in sources}, as_json, fail_on)


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="COCO JSON, YOLO data.yaml, VOC or KITTI folder.")],
    model: options.Model = "screening",
    images: Annotated[
        Path | None, typer.Option(help="Where the images of a COCO JSON lie.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test ... where the set has some.")
    ] = None,
    method: options.MethodName = "integrated_gradients",
    setting: options.Setting = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Verdicts too, or detection alone.")
    ] = True,
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    device: options.Device = "cpu",
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for plots.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder that keeps the verdicts; an unfinished one goes on."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """AP, AP50, AP75, precision and recall, and how often the verdict is right."""
    from xai_detect.data.read import read_dataset
    from xai_detect.evaluation import evaluate as run_evaluation

    chosen = build_method(method, **options.settings(setting))
    dataset = read_dataset(data, images=images, split=split)
    detector = options.load(model, domain, device, imgsz, iou, engine)
    run, inspector = None, options.inspector(detector, chosen, conf)
    if explain and out is not None:
        header = options.header(detector, chosen, conf, iou, None, DEFAULT_POLICY, data, engine)
        run = open_run(out, header, command=options.command())
        inspector = remembered(run, inspector)
    if explain:
        known = frozenset() if run is None else run.done
        paths = [scan.path for scan in dataset.scans if scan.name not in known]
        options.tell_cost(expected_seconds(detector, chosen, paths, conf), len(paths))
    try:
        with options.bar("evaluating", len(dataset)) as step:
            result = run_evaluation(
                detector,
                dataset,
                confidence=conf,
                explain=explain,
                inspector=inspector,
                progress=lambda *_: step(),
            )
    except KeyboardInterrupt:
        if run is not None:
            run.finish("interrupted")
            options.notes.print(f"{out} keeps what is done; run the same command to go on")
        raise typer.Exit(130) from None
    if run is not None:
        options.notes.print(f"report: {run.finish().folder / 'report.html'}")
    for problem in result.problems:
        options.notes.print(f"note: {problem}")
    if plots is not None:
        from xai_detect.output.plots import save_plots

        save_plots(result, plots)
    print(text.as_json(result.as_dict()) if as_json else text.evaluation_lines(result))


@app.command("fit-parchgrad")
def fit_parchgrad(
    data: Annotated[Path, typer.Argument(help="Data set with ground truth, as for evaluate.")],
    out: Annotated[Path, typer.Option(help="Statistics file to write (.safetensors).")],
    model: options.Model = "screening",
    images: Annotated[
        Path | None, typer.Option(help="Where the images of a COCO JSON lie.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val ... where the set has some.")
    ] = None,
    imgsz: options.Side = None,
    device: options.Device = "cpu",
    seed: Annotated[int, typer.Option(help="Of the background boxes.")] = 0,
) -> None:
    """Measure the channel statistics that the parchgrad method needs."""
    from xai_detect.data.read import read_dataset
    from xai_detect.explainers.parchgrad_fit import fit
    from xai_detect.explainers.parchgrad_statistics import save_statistics
    from xai_detect.labelled import labelled_images

    dataset = read_dataset(data, images=images, split=split)
    detector = options.load(model, None, device, imgsz, 0.7)
    with options.bar("measuring", len(dataset)) as step:
        scans = labelled_images(dataset, detector.class_names, each=step)
        save_statistics(fit(detector, scans, seed=seed), out)
    print(f"statistics: {out}")


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write the scans to.")],
    scans: Annotated[int, typer.Option(help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 640,
    planted: Annotated[
        str | None, typer.Option(help="A world with a known cause: object, marker, context ...")
    ] = None,
    variant: Annotated[
        str, typer.Option(help="Planted only: plain, swapped (the other cause) or removed.")
    ] = "plain",
    into: Annotated[
        Path | None, typer.Option(help="Folder of real scans to project one item each into.")
    ] = None,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    image_format: Annotated[str, typer.Option("--format", help="jpg or png.")] = "jpg",
    raw: Annotated[bool, typer.Option("--raw", help="Also write 16-bit low/high pairs.")] = False,
    processes: Annotated[int, typer.Option(help="Worker processes.")] = 1,
) -> None:
    """Make X-ray scans with exact ground truth."""
    from xai_detect.xray.simulate import simulate as run_simulation

    with options.bar("simulating", scans) as step:
        result = run_simulation(
            out, scans, seed, size, planted, into,
            variant=variant, split=split, image_format=image_format, raw=raw,
            processes=processes, progress=lambda *_: step(),
        )  # fmt: skip
    print(f"{result.scans} scans, {result.items} items, {result.clean} clean: {result.annotations}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for scans and runs.")] = Path("demo_run"),
) -> None:
    """Inspect simulated scans with two detectors that ship: right, wrong, missed, and why."""
    from xai_detect.demo import parts

    for part in parts(out):
        print(f"\n{part.model}, {part.words}: {len(part.sources)} scans")
        sources = [str(one) for one in part.sources]
        folder = out / part.name
        inspect(sources, model=part.model, out=folder, conf=part.confidence, truth=part.truth)


app.command("explain")(explain_command.explain)


@app.command("methods")
def list_methods(as_json: options.AsJson = False) -> None:
    """List the explanation methods: what each needs, costs per detection, and who wrote it."""
    rows = listing.listed()
    if as_json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
    else:
        print(listing.table(rows))


@app.command()
def doctor(as_json: options.AsJson = False) -> None:
    """Check installed versions against the adapters."""
    findings = health.examine()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.fine else 'FAIL'} {finding.what}: {finding.detail}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


def _print_run(run: Run, sources: set[str], as_json: bool, fail_on: options.FailOn | None) -> None:
    shown = [one for one in run.records if one.source in sources]
    failed = {source: why for source, why in run.failed.items() if source in sources}
    levels = [verdict.level for one in shown for verdict in one.verdicts]
    if as_json:
        print(text.run_json(run, shown, failed))
    elif shown:
        print(text.run_lines(run, shown, shown_path))
    if not shown and len(failed) == 1:
        raise InputError(*failed.values())
    for source, why in failed.items():
        print(f"failed: {shown_path(source)}: {why}", file=sys.stderr)
    if not shown:
        raise InputError(f"none of the {len(failed)} images could be inspected")
    bad = {Level.UNTRUSTED} | ({Level.UNCERTAIN} if fail_on is options.FailOn.UNCERTAIN else set())
    if fail_on is not None and bad & set(levels):
        raise typer.Exit(3)


def main() -> None:
    """Run the command line; a mistake in the input becomes one line and exit code 1."""
    try:
        app(standalone_mode=True)
    except XaiDetectError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"error: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
