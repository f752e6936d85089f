"""What the command line's options are called and what they mean."""

import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xai_detect.errors import InputError

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
Confidence = Annotated[
    float, typer.Option("--conf", min=0, max=1, help="Drop detections at or below it.")
]
Overlap = Annotated[
    float, typer.Option("--iou", min=0, max=1, help="Suppress boxes that overlap more.")
]
Side = Annotated[
    int | None, typer.Option("--imgsz", min=1, help="Longest side of the input, pixels.")
]
Device = Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:0 ...")]
EngineName = Annotated[
    str, typer.Option("--engine", help="How to run: eager, bf16, compiled or compiled_bf16.")
]
Domain = Annotated[str | None, typer.Option(help="photo or xray; None takes the model's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def settings(given: Sequence[str] | None) -> dict[str, Any]:
    """``name=value`` pairs as hyper-parameters; values are read as JSON where they are JSON."""
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


def tell_cost(seconds: float, images: int) -> None:
    """Say how long a long run will take, before it starts."""
    if seconds >= LONG_RUN:
        minutes = math.ceil(seconds / 60)
        notes.print(f"{images} images: about {minutes} min on this machine")


class bar:  # noqa: N801 - used as a function in a with statement
    """A progress bar on stderr; entering it gives the function that advances it.

    Ctrl-C while it runs is acknowledged in one line.
    """

    def __init__(self, what: str, total: int) -> None:
        self._progress = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=notes,
        )  # fmt: skip
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._progress.stop()
        if kind is KeyboardInterrupt:
            notes.print("interrupted")


def command() -> str:
    """What the user typed, for the record."""
    return shlex.join(["xai-detect", *sys.argv[1:]])
