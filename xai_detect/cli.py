"""The command line: parse, call, print. Progress and notes on stderr, results on stdout.

Exit codes: 0 done, 1 the input was wrong, 2 usage, 3 ``--fail-on`` found one, 130 interrupted.
"""

import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import xai_detect
from xai_detect import doctor as health
from xai_detect.batch import expected_seconds, find_sources, inspect_all
from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError, XaiDetectError
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.protocol import settings_of
from xai_detect.fills import DOMAINS
from xai_detect.output import text
from xai_detect.output.header import Header
from xai_detect.output.load import Run
from xai_detect.output.run import open_run
from xai_detect.trust.policy import DEFAULT_POLICY, Policy, read_policy
from xai_detect.types import Level, label_of

app = typer.Typer(
    name="xai-detect",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Explain object detectors and say which detections the evidence supports.",
)
notes = Console(stderr=True, highlight=False)

LONG_RUN = 30.0
"""Seconds from which on a run's cost is told before it starts."""


class FailOn(StrEnum):
    """Which levels make ``inspect`` exit with 3."""

    UNTRUSTED = "untrusted"
    UNCERTAIN = "uncertain"


Model = Annotated[
    str, typer.Option(help="Path, name in weights/manifest.toml, torchvision/<model>, or yolo11n.")
]
MethodName = Annotated[str, typer.Option("--method", help="Explanation method.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--setting", help="Hyper-parameter of the method as name=value; repeatable."),
]
Confidence = Annotated[float, typer.Option("--conf", help="Drop detections at or below it.")]
Overlap = Annotated[float, typer.Option("--iou", help="Suppress boxes that overlap more.")]
Side = Annotated[int | None, typer.Option("--imgsz", help="Longest side of the input, pixels.")]
Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:0 ...")]
Domain = Annotated[str | None, typer.Option(help="photo or xray; None takes the model's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


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
    model: Model = "screening",
    method: MethodName = "integrated_gradients",
    setting: Setting = None,
    as_class: Annotated[
        str | None, typer.Option("--class", help="Ask every box about this class instead.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished one goes on.")] = Path("run"),
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    imgsz: Side = None,
    device: Device = "cpu",
    domain: Domain = None,
    policy: Annotated[Path | None, typer.Option(help="Limits and sentences, TOML.")] = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 3 if there is one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find objects, explain each, and say which detections can be trusted."""
    sources = find_sources(source)
    detector = _load(model, domain, device, imgsz, iou)
    if as_class is not None:
        label_of(as_class, detector.class_names)
    chosen = build_method(method, **_settings(setting))
    rules = read_policy(policy) if policy else DEFAULT_POLICY
    header = _header(detector, chosen, conf, as_class, rules)
    run = open_run(out, header, command=_command())
    left = [one for one in sources if str(one) not in run.done]
    if len(left) < len(sources):
        notes.print(f"{out}: {len(sources) - len(left)} of {len(sources)} images are done already")
    _tell_cost(expected_seconds(detector, chosen, left, conf), len(left))
    try:
        with _bar("inspecting", len(sources)) as step:
            inspect_all(
                detector,
                sources,
                run,
                method=chosen,
                confidence=conf,
                as_class=as_class,
                policy=rules,
                step=step,
            )
    except KeyboardInterrupt:
        notes.print(f"interrupted; {out} keeps what is done: run the same command to go on")
        raise typer.Exit(130) from None
    _print_run(run.finish(), {str(one) for one in sources}, as_json, fail_on)


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="COCO JSON, YOLO data.yaml, VOC or KITTI folder.")],
    model: Model = "screening",
    images: Annotated[
        Path | None, typer.Option(help="Where the images of a COCO JSON lie.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test ... where the set has some.")
    ] = None,
    method: MethodName = "integrated_gradients",
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Verdicts too, or detection alone.")
    ] = True,
    conf: Confidence = 0.25,
    iou: Overlap = 0.7,
    imgsz: Side = None,
    device: Device = "cpu",
    domain: Domain = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for plots.")] = None,
    as_json: AsJson = False,
) -> None:
    """AP, AP50, AP75, precision and recall, and how often the verdict is right."""
    from xai_detect.data.read import read_dataset
    from xai_detect.evaluation import evaluate as run_evaluation

    dataset = read_dataset(data, images=images, split=split)
    detector = _load(model, domain, device, imgsz, iou)
    if explain:
        paths = [scan.path for scan in dataset.scans]
        _tell_cost(expected_seconds(detector, build_method(method), paths, conf), len(paths))
    with _bar("evaluating", len(dataset)) as step:
        result = run_evaluation(
            detector,
            dataset,
            confidence=conf,
            explain=explain,
            method=method,
            progress=lambda *_: step(),
        )
    for problem in result.problems:
        notes.print(f"note: {problem}")
    if plots is not None:
        from xai_detect.output.plots import save_plots

        save_plots(result, plots)
    print(text.as_json(result.as_dict()) if as_json else text.evaluation_lines(result))


@app.command("methods")
def list_methods() -> None:
    """List the explanation methods."""
    for name, method in METHODS.items():
        summary = (method.__doc__ or "").strip().splitlines()[0]
        print(f"{name:24s} {summary}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check installed versions against the adapters."""
    findings = health.examine()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.fine else 'FAIL'} {finding.what}: {finding.detail}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


def _load(model: str, domain: str | None, device: str, imgsz: int | None, iou: float) -> Any:
    if domain is not None and domain not in DOMAINS:
        raise InputError(f"--domain is {domain!r}; choose from {', '.join(DOMAINS)}")
    return load_detector(model, domain=domain, device=device, imgsz=imgsz, iou=iou)


def _header(
    detector: Any, method: Any, confidence: float, asked: str | None, policy: Policy
) -> Header:
    return Header(
        provenance=detector.provenance,
        class_names=detector.class_names,
        method=method.name,
        settings=settings_of(method),
        confidence=confidence,
        asked=asked,
        options={"policy": dict(policy.limits), "iou": detector.iou},
    )


def _settings(given: Sequence[str] | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for one in given or ():
        name, separator, value = one.partition("=")
        if not separator:
            raise InputError(f"--setting {one!r} has no '='; write name=value, such as steps=16")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def _tell_cost(seconds: float, images: int) -> None:
    if seconds >= LONG_RUN:
        minutes = math.ceil(seconds / 60)
        notes.print(f"{images} images: about {minutes} min on this machine")


class _bar:  # noqa: N801 - used as a function in a with statement
    """A progress bar on stderr; entering it gives the function that advances it."""

    def __init__(self, what: str, total: int) -> None:
        self._progress = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=notes,
        )  # fmt: skip
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _print_run(run: Run, sources: set[str], as_json: bool, fail_on: FailOn | None) -> None:
    shown = [one for one in run.inspections if one.source in sources]
    failed = {source: why for source, why in run.failed.items() if source in sources}
    levels = [verdict.level for one in shown for verdict in one.verdicts]
    if as_json:
        print(text.run_json(run, shown, failed))
    else:
        print(text.run_lines(run, shown))
    for source, why in failed.items():
        print(f"failed: {source}: {why}", file=sys.stderr)
    if failed and not shown:
        raise typer.Exit(1)
    bad = {Level.UNTRUSTED} | ({Level.UNCERTAIN} if fail_on is FailOn.UNCERTAIN else set())
    if fail_on is not None and bad & set(levels):
        raise typer.Exit(3)


def _command() -> str:
    return shlex.join(["xai-detect", *sys.argv[1:]])


def main() -> None:
    """Run the command line; a mistake in the input becomes one line and exit code 1."""
    try:
        app(standalone_mode=True)
    except XaiDetectError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
