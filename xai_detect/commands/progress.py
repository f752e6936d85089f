"""What a command says on stderr while it works: notes, cost, a bar, and that it was interrupted."""

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xai_detect.words.catalogue import Catalogue, catalogue, of_locale

if TYPE_CHECKING:  # the run folder brings torch, and help does without
    from xai_detect.output.writer import RunWriter

notes = Console(stderr=True, highlight=False)

LONG_RUN = 30.0
"""Seconds from which on a run's cost is told before it starts."""


def chosen_words(language: str | None) -> Catalogue:
    """The words of the language that was asked for, else of the user's locale.

    Raises:
        InputError: If there are none in the language that was asked for.
    """
    return catalogue(language or of_locale())


def tell_cost(seconds: float, images: int, words: Catalogue) -> None:
    """Say how long a long run will take, before it starts."""
    if seconds >= LONG_RUN:
        minutes = math.ceil(seconds / 60)
        counted = words.counted("images", images)
        notes.print(words.say("told.cost", images=counted, minutes=minutes))


@contextmanager
def bar(what: str, total: int, words: Catalogue) -> Iterator[Callable[[], None]]:
    """A progress bar; entering it gives the function that advances it.

    Ctrl-C while it runs is acknowledged in one line.

    Args:
        what: ``inspecting``, ``evaluating``, ``measuring`` or ``simulating``.
        total: How many steps there are.
        words: Those of the language.
    """
    said = words.say(f"told.{what}")
    columns = (TextColumn(said), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=notes) as progress:
            task = progress.add_task(said, total=total)
            yield lambda: progress.advance(task)
    except KeyboardInterrupt:
        notes.print(words.say("told.interrupted"))
        raise


@contextmanager
def between() -> Iterator[Callable[[], bool]]:
    """While it is entered, Ctrl-C waits until it is asked for; a second one does not.

    For work that must not be cut in the middle of a step. Entering it gives the function that tells
    whether to stop.
    """
    pressed = False

    def note(_number: int, _frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def work(
    run: "RunWriter | None", what: str, total: int, words: Catalogue
) -> Iterator[Callable[[], None]]:
    """A progress bar over work whose results a run folder keeps; see ``bar`` and ``kept``."""
    with kept(run, words), bar(what, total, words) as step:
        yield step


@contextmanager
def kept(run: "RunWriter | None", words: Catalogue) -> Iterator[None]:
    """Ctrl-C leaves a run that can go on, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        if run is not None:
            run.finish("interrupted")
            notes.print(words.say("told.kept", folder=run.folder))
        raise typer.Exit(130) from None


def tell_done(done: int, images: int, folder: Path | None, words: Catalogue) -> None:
    """Say what is done already, if anything is."""
    if done:
        counted = words.counted("images", images)
        notes.print(words.say("told.done", folder=folder, done=done, images=counted))
