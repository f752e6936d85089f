"""What a command says on stderr while it works: notes, cost, a bar, and that it was interrupted."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:  # the run folder brings torch, and help does without
    from xai_detect.output.writer import RunWriter

notes = Console(stderr=True, highlight=False)

LONG_RUN = 30.0
"""Seconds from which on a run's cost is told before it starts."""


def tell_cost(seconds: float, images: int) -> None:
    """Say how long a long run will take, before it starts."""
    if seconds >= LONG_RUN:
        minutes = math.ceil(seconds / 60)
        notes.print(f"{images} images: about {minutes} min on this machine")


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar; entering it gives the function that advances it.

    Ctrl-C while it runs is acknowledged in one line.
    """
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=notes) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)
    except KeyboardInterrupt:
        notes.print("interrupted")
        raise


@contextmanager
def kept(run: "RunWriter | None") -> Iterator[None]:
    """Ctrl-C leaves a run that can go on, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        if run is not None:
            run.finish("interrupted")
            notes.print(f"{run.folder} keeps what is done; run the same command to go on")
        raise typer.Exit(130) from None
