"""The command line: parse and call. Progress and notes on stderr, results on stdout.

What a command needs is imported when it runs, so that help comes at once.

Exit codes: 0 done, 1 the input was wrong, 2 usage, 3 ``--fail-on`` found one, 130 interrupted.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

import xai_detect
from xai_detect.commands import options
from xai_detect.errors import XaiDetectError

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
    from xai_detect.commands.inspect import run

    run(
        source,
        model=model,
        method=method,
        setting=setting,
        as_class=as_class,
        out=out,
        conf=conf,
        iou=iou,
        imgsz=imgsz,
        device=device,
        engine=engine,
        domain=domain,
        policy=policy,
        truth=truth,
        fail_on=fail_on,
        as_json=as_json,
    )


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
    detections: Annotated[
        Path | None,
        typer.Option(help="File for the detections behind AP: COCO results, the data's own ids."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """AP, AP50, AP75, precision and recall, and how often the verdict is right."""
    from xai_detect.commands.evaluate import run

    run(
        data,
        model=model,
        images=images,
        split=split,
        method=method,
        setting=setting,
        explain=explain,
        conf=conf,
        iou=iou,
        imgsz=imgsz,
        device=device,
        engine=engine,
        domain=domain,
        plots=plots,
        out=out,
        detections=detections,
        as_json=as_json,
    )


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
    from xai_detect.commands import prepare
    from xai_detect.data.read import read_dataset
    from xai_detect.evaluation.labelled import labelled_images
    from xai_detect.explainers.parchgrad.fit import fit
    from xai_detect.explainers.parchgrad.statistics import save_statistics

    dataset = read_dataset(data, images=images, split=split)
    detector = prepare.load(model, None, device, imgsz, 0.7)
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
    from xai_detect.xray.scenes.simulate import simulate as run_simulation

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
    from xai_detect.commands.demo import parts

    for part in parts(out):
        print(f"\n{part.model}, {part.words}: {len(part.sources)} scans")
        sources = [str(one) for one in part.sources]
        folder = out / part.name
        inspect(sources, model=part.model, out=folder, conf=part.confidence, truth=part.truth)


@app.command()
def explain(
    image: Annotated[Path, typer.Argument(help="One image.")],
    model: options.Model = "screening",
    classifier: Annotated[
        bool, typer.Option("--classifier", help="The model classifies whole images.")
    ] = False,
    asked: Annotated[
        list[str] | None,
        typer.Option("--class", help="Ask about this class; repeatable. Else what was found."),
    ] = None,
    method: options.MethodName = "integrated_gradients",
    setting: options.Setting = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            help="One column per use: settings as name=value, several joined by ';', "
            "such as masker=inpaint_telea."
        ),
    ] = None,
    foreground: Annotated[
        Path | None,
        typer.Option(help="Mask image: what should matter is not black. Else a detection's box."),
    ] = None,
    fill: Annotated[str, typer.Option(help="What removed pixels become.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Figure to write (.png).")] = None,
    conf: options.Confidence = 0.25,
    iou: options.Overlap = 0.7,
    imgsz: options.Side = None,
    device: options.Device = "cpu",
    engine: options.EngineName = "eager",
    domain: options.Domain = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the evidence for several classes and settings side by side."""
    from xai_detect.commands.explain import run

    run(
        image,
        model=model,
        classifier=classifier,
        asked=asked,
        method=method,
        setting=setting,
        variants=variants,
        foreground=foreground,
        fill=fill,
        out=out,
        conf=conf,
        iou=iou,
        imgsz=imgsz,
        device=device,
        engine=engine,
        domain=domain,
        as_json=as_json,
    )


@app.command("methods")
def list_methods(as_json: options.AsJson = False) -> None:
    """List the explanation methods: what each needs, costs per detection, and who wrote it."""
    from xai_detect.explainers import listing

    rows = listing.listed()
    if as_json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
    else:
        print(listing.table(rows))


@app.command()
def doctor(as_json: options.AsJson = False) -> None:
    """Check installed versions against the adapters."""
    from xai_detect.detectors.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.fine else 'FAIL'} {finding.what}: {finding.detail}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


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
