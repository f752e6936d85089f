"""What the command line's options are called; each is declared here once, done in ``prepare``."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from xai_detect.commands import manual
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


Model = Annotated[str, typer.Option(help=manual.say("help.model"))]
MethodName = Annotated[str, typer.Option("--method", help=manual.say("help.method"))]
AddedMethod = Annotated[str | None, typer.Option("--method", help=manual.say("help.added_method"))]
Spent = Annotated[str, typer.Option("--budget", help=manual.say("help.budget"))]
References = Annotated[
    Path | None,
    typer.Option(help=manual.say("help.references")),
]
SecondModel = Annotated[str | None, typer.Option("--second", help=manual.say("help.second"))]
Language = Annotated[str | None, typer.Option("--lang", help=manual.say("help.lang"))]
Prevalence = Annotated[
    float | None,
    typer.Option(min=0, max=1, help=manual.say("help.prevalence")),
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--setting", help=manual.say("help.setting")),
]
Confidence = Annotated[float, typer.Option("--conf", min=0, max=1, help=manual.say("help.conf"))]
Overlap = Annotated[float, typer.Option("--iou", min=0, max=1, help=manual.say("help.iou"))]
Side = Annotated[
    str | None,
    typer.Option(
        "--imgsz", help=manual.say("help.imgsz"), callback=lambda given: checked_sides(given)
    ),
]
Depth = Annotated[
    int | None,
    typer.Option(
        min=8, max=16, help=manual.say("help.depth"), callback=lambda bits: use_depth(bits)
    ),
]
Device = Annotated[str, typer.Option(help=manual.say("help.device"))]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help=manual.say("help.threads")),
]
EngineName = Annotated[str, typer.Option("--engine", help=manual.say("help.engine"))]
Domain = Annotated[str | None, typer.Option(help=manual.say("help.domain"))]
AsJson = Annotated[bool, typer.Option("--json", help=manual.say("help.json"))]
Images = Annotated[Path | None, typer.Option(help=manual.say("help.images"))]
Split = Annotated[str | None, typer.Option(help=manual.say("help.split"))]
FailsOn = Annotated[
    FailOn | None,
    typer.Option("--fail-on", help=manual.say("help.fail_on")),
]
AlsoAsked = Annotated[list[str] | None, typer.Option("--class", help=manual.say("help.also_asked"))]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help=manual.say("help.policy"))]
Annotations = Annotated[
    Path | None,
    typer.Option("--truth", help=manual.say("help.truth")),
]
Classes = Annotated[
    list[str] | None,
    typer.Option("--class", help=manual.say("help.classes")),
]
Contrast = Annotated[
    str | None,
    typer.Option(help=manual.say("help.contrast")),
]
Variants = Annotated[
    list[str] | None,
    typer.Option(help=manual.say("help.variants")),
]
Foreground = Annotated[
    Path | None,
    typer.Option(help=manual.say("help.foreground")),
]
Marked = Annotated[
    Path | None,
    typer.Option(
        "--foreground",
        help=manual.say("help.marked"),
    ),
]
Architecture = Annotated[str | None, typer.Option(help=manual.say("help.architecture"))]
ClassList = Annotated[str | None, typer.Option("--classes", help=manual.say("help.class_list"))]
MultiLabel = Annotated[bool, typer.Option("--multi-label", help=manual.say("help.multi_label"))]
Preprocessing = Annotated[str | None, typer.Option(help=manual.say("help.preprocessing"))]
Coco = Annotated[Path | None, typer.Option(help=manual.say("help.detections"))]
Kept = Annotated[
    Path | None,
    typer.Option(help=manual.say("help.kept")),
]
Explains = Annotated[bool, typer.Option("--explain/--no-explain", help=manual.say("help.explain"))]
Classifies = Annotated[bool, typer.Option("--classifier", help=manual.say("help.classifier"))]
Copies = Annotated[
    bool,
    typer.Option("--copy-images", help=manual.say("help.copies")),
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


def use_depth(bits: int | None) -> int | None:
    """Read 16-bit images of this process at this depth from now on."""
    from xai_detect.values.images import read_at

    read_at(bits)
    return bits


def checked_sides(given: str | None) -> str | None:
    """``--imgsz`` as it was typed; anything that is no size is wrong usage."""
    try:
        sides(given)
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    return given


def sides(given: str | int | None) -> int | tuple[int, int] | None:
    """``--imgsz`` as it was typed, as one side or as height and width.

    Raises:
        InputError: If it is neither.
    """
    if given is None or isinstance(given, int):
        return given
    words = given.lower().replace("x", " ").replace(",", " ").split()
    if not 1 <= len(words) <= 2 or not all(word.isdigit() and int(word) for word in words):
        raise InputError(f"--imgsz is {given!r}; expected one side, such as 640, or 480x640")
    numbers = [int(word) for word in words]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


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


def _only(option: str, given: Sequence[str] | None) -> str | None:
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


def asked_class(given: Sequence[str] | None, fail_on: FailOn | None) -> str | None:
    """The class that every box is asked about as well.

    Raises:
        InputError: If there are several, or none although ``--fail-on absent`` was given.
    """
    as_class = _only("--class", given)
    if fail_on is FailOn.ABSENT and as_class is None:
        raise InputError("--fail-on absent asks about --class, which was not given; name a class")
    return as_class


def fit_together(
    out: Path | None, detections: Path | None, explain: bool, copy_images: bool
) -> None:
    """Check that what an evaluation is to write can be written.

    Raises:
        InputError: If it is to keep verdicts and give none, or images and has no folder for them,
            or a file is named like a folder.
    """
    if copy_images and out is None:
        raise InputError("--copy-images needs --out, which was not given; name a run folder")
    if out is not None and not explain:
        raise InputError("--out keeps verdicts, and --no-explain gives none; leave one of them out")
    if detections is not None and detections.is_dir():
        raise InputError(f"--detections is the folder {detections}; expected the name of a file")
