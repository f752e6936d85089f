"""What the command line's options are called; each is declared here once, done in ``prepare``."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from xai_detect.errors import InputError


class FailOn(StrEnum):
    """What makes ``inspect`` exit with 3: a level or worse, or an absent class."""

    UNTRUSTED = "untrusted"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"


class Case(StrEnum):
    """What ``demo`` shows."""

    SCANS = "scans"
    ZEBRA = "zebra"


Model = Annotated[
    str, typer.Option(help="Path, name in weights/manifest.toml, torchvision/<model>, or yolo11n.")
]
MethodName = Annotated[str, typer.Option("--method", help="Explanation method.")]
AddedMethod = Annotated[
    str | None, typer.Option("--method", help="Add this method's map; it changes no verdict.")
]
Spent = Annotated[
    str, typer.Option("--budget", help="quick, standard or full: what a verdict may cost.")
]
References = Annotated[
    Path | None,
    typer.Option(
        help="Images whose surroundings are tried: a folder, or a data set that says what they "
        "hold. Else some of those inspected."
    ),
]
SecondModel = Annotated[
    str | None, typer.Option("--second", help="Another model: does it find the same?")
]
Language = Annotated[
    str | None, typer.Option("--lang", help="en or ko; None takes that of the locale.")
]
Prevalence = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Share of images with a threat where it is used."),
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--setting", help="Hyper-parameter of the method as name=value; repeatable."),
]
Confidence = Annotated[
    float, typer.Option("--conf", min=0, max=1, help="Drop detections at or below it.")
]
Overlap = Annotated[
    float, typer.Option("--iou", min=0, max=1, help="Suppress boxes that overlap more.")
]
Side = Annotated[
    int | None, typer.Option("--imgsz", min=1, help="Longest side of the input, pixels.")
]
Device = Annotated[
    str, typer.Option(help="Where to run: auto (a GPU where there is one), cpu, cuda, cuda:0 ...")
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Of the network on a CPU. Fewer where others use the machine."),
]
EngineName = Annotated[
    str, typer.Option("--engine", help="How to run: eager, bf16, compiled or compiled_bf16.")
]
Domain = Annotated[str | None, typer.Option(help="photo or xray; None takes the model's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Images = Annotated[Path | None, typer.Option(help="Where the images of a COCO JSON lie.")]
Split = Annotated[str | None, typer.Option(help="train, val, test ... where the set has some.")]
FailsOn = Annotated[
    FailOn | None,
    typer.Option("--fail-on", help="Exit with 3 if one is so, or a box does not show --class."),
]
AlsoAsked = Annotated[
    list[str] | None, typer.Option("--class", help="Also ask every box about this class; once.")
]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="Limits of the verdict, TOML.")]
Annotations = Annotated[
    Path | None,
    typer.Option("--truth", help="Annotations of these images: say what is right, wrong, missed."),
]
Classes = Annotated[
    list[str] | None,
    typer.Option("--class", help="Ask about this class; repeatable. Else what was found."),
]
Contrast = Annotated[
    str | None,
    typer.Option(help="Why not this class? Each map is that of the lead over it."),
]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        help="One column per use: settings as name=value, several joined by ';', "
        "such as masker=inpaint_telea."
    ),
]
Foreground = Annotated[
    Path | None,
    typer.Option(help="Mask image: what should matter is not black. Else a detection's box."),
]
Marked = Annotated[
    Path | None,
    typer.Option(
        "--foreground",
        help="Mask image for one image whose boxes fill it: the object is not black.",
    ),
]
Coco = Annotated[
    Path | None, typer.Option(help="File for the detections behind AP: COCO results, JSON.")
]
Kept = Annotated[
    Path | None,
    typer.Option(help="Run folder that keeps the verdicts; an unfinished one goes on."),
]


def settings(given: Sequence[str] | None) -> dict[str, Any]:
    """``name=value`` pairs as hyper-parameters; values are read as JSON where they are JSON."""
    settings: dict[str, Any] = {}
    for pair in given or ():
        name, separator, value = pair.partition("=")
        if not separator:
            raise InputError(f"--setting {pair!r} has no '='; write name=value, such as steps=16")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def contrasted(contrast: str | None, given: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """The class that a margin is over, which may stand among the settings, and the other settings.

    Raises:
        InputError: If several classes are named.
    """
    start = "contrast="
    named = [pair.removeprefix(start) for pair in given or () if pair.startswith(start)]
    classes = [*named, *([contrast] if contrast is not None else [])]
    if len(set(classes)) > 1:
        raise InputError(f"the contrast is {' and '.join(classes)}; name one class")
    return next(iter(classes), None), [pair for pair in given or () if not pair.startswith(start)]


def only(option: str, given: Sequence[str] | None) -> str | None:
    """The value of an option that may be used once.

    Raises:
        InputError: If it was used more often.
    """
    if given is not None and len(given) > 1:
        raise InputError(
            f"{option} was given {len(given)} times ({', '.join(given)}); expected it once: "
            "start the command again for each, in a folder of its own"
        )
    return given[0] if given else None


def needs_class(fail_on: FailOn | None, as_class: str | None) -> None:
    """Check that there is a class that can be absent.

    Raises:
        InputError: If ``--fail-on absent`` was given without one.
    """
    if fail_on is FailOn.ABSENT and as_class is None:
        raise InputError("--fail-on absent asks about --class, which was not given; name a class")


def fit_together(out: Path | None, detections: Path | None, explain: bool) -> None:
    """Check that what an evaluation is to write can be written.

    Raises:
        InputError: If it is to keep verdicts and give none, or a file is named like a folder.
    """
    if out is not None and not explain:
        raise InputError("--out keeps verdicts, and --no-explain gives none; leave one of them out")
    if detections is not None and detections.is_dir():
        raise InputError(f"--detections is the folder {detections}; expected the name of a file")
