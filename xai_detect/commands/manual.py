"""What ``--help`` shows, in the language of the command line: it is built when it is imported."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from typer.core import TyperCommand, TyperGroup

from xai_detect.words.catalogue import LANGUAGES, catalogue, of_locale

if TYPE_CHECKING:  # what a command and a group have in common has no public name in typer
    from rich.text import Text
    from typer._click import Command as _Base
    from typer._click import Context, HelpFormatter
    from typer.core import TyperOption
else:
    _Base = object


def language(arguments: Sequence[str]) -> str:
    """The language that ``--lang`` names, where there are words in it, else that of the locale.

    Args:
        arguments: Those of the command line. They are read before anything is parsed, since the
            help of an option is there before the options have values.
    """
    asked = ""
    for argument, following in pairwise([*arguments, ""]):
        if argument == "--lang":
            asked = following
        elif argument.startswith("--lang="):
            asked = argument.removeprefix("--lang=")
    return asked if asked in LANGUAGES else of_locale()


_WORDS = catalogue(language(sys.argv[1:]))


def say(name: str, /, **values: object) -> str:
    """A sentence of the help, filled in."""
    return _WORDS.say(name, **values)


def _prepare_tables() -> None:
    """Give typer's tables their headings, which are constants, and whole words."""
    from rich.text import Text
    from typer import rich_utils

    rich_utils.ARGUMENTS_PANEL_TITLE = say("usage.arguments")
    rich_utils.OPTIONS_PANEL_TITLE = say("usage.options")
    rich_utils.COMMANDS_PANEL_TITLE = say("usage.commands")
    rich_utils.DEFAULT_STRING = say("usage.default", value="{}")
    rich_utils.REQUIRED_LONG_STRING = say("usage.required")
    # rich counts letters there, and a Korean one takes two columns: a line that is full but for
    # the space at its end would lose its last letter
    Text.rstrip_end = _strip_beyond  # type: ignore[assignment, method-assign]


def _strip_beyond(line: "Text", size: int) -> None:
    """Take away what is space at the end of a line and stands beyond ``size`` columns."""
    spaces = len(line.plain) - len(line.plain.rstrip())
    beyond = min(spaces, line.cell_len - size)
    if beyond > 0:
        line.right_crop(beyond)


class _Spoken(_Base):
    """What typer itself adds to the help of a command, in the language too."""

    def get_help_option(self, ctx: "Context") -> "TyperOption | None":
        """``--help``, with its own help."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = say("help.help")
        return option

    def format_usage(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """The first line: what to type."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, f"{say('usage.start')} ")

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """All of it."""
        _prepare_tables()
        super().format_help(ctx, formatter)


class Command(_Spoken, TyperCommand):
    """A command that speaks the language."""


class Group(_Spoken, TyperGroup):
    """The program that holds the commands."""
