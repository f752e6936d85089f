"""``--help``: every word of it is asked for by name, and comes whole, in the language."""

import json
import os
import re
import string
import subprocess
import sys

import pytest
import typer
from rich.text import Text

from xai_detect.commands import app as cli
from xai_detect.commands import manual
from xai_detect.words.catalogue import catalogue

PROGRAM = typer.main.get_command(cli.app)
COMMANDS = {name: command.callback.__name__ for name, command in PROGRAM.commands.items()}
EVERY = [["--help"], *([name, "--help"] for name in COMMANDS)]
ENGLISH, KOREAN = (catalogue(language).templates for language in ("en", "ko"))
WIDE = 400
"""Columns in which no line of help is broken."""

PAGES = """
import json, sys
from typer.testing import CliRunner
from xai_detect.commands.app import app
widths, commands = json.loads(sys.stdin.read())
pages = []
for width in widths:
    for words in commands:
        done = CliRunner().invoke(app, words, env={"COLUMNS": str(width)})
        assert done.exit_code == 0, done.output
        pages.append(done.output)
print(json.dumps(pages))
"""


def in_locale(locale, *command, given=""):
    """What a process of its own prints: the language of help is that of the process."""
    own = {name: value for name, value in os.environ.items() if name != "TERMINAL_WIDTH"}
    done = subprocess.run(
        [sys.executable, *command], input=given, capture_output=True, text=True, check=True,
        env={**own, "LC_ALL": locale, "COLUMNS": "80", "PYTHONUTF8": "1"},
    )  # fmt: skip
    return done.stdout


def pages(locale, widths):
    return json.loads(in_locale(locale, "-c", PAGES, given=json.dumps([list(widths), EVERY])))


@pytest.fixture(scope="module")
def korean():
    return pages("ko_KR.UTF-8", [WIDE])


def told(templates, table):
    """Sentences of a table, as they stand where nothing is filled in."""
    return {text for name, text in templates.items() if name.startswith(f"{table}.")}


# Where the words come from


def parameters():
    for name, command in {"": PROGRAM, **PROGRAM.commands}.items():
        context = typer.Context(command, info_name=name)
        for parameter in command.get_params(context):
            yield name, parameter


def test_every_option_and_argument_has_help_from_the_catalogue():
    known = told(catalogue(manual.language([])).templates, "help")
    assert len(list(parameters())) > 90
    assert [(name, one.name) for name, one in parameters() if one.help not in known] == []


def test_every_command_has_help_from_the_catalogue():
    assert PROGRAM.help == manual.say("command.program")
    for name, function in COMMANDS.items():
        assert PROGRAM.commands[name].help == manual.say(f"command.{function}")
    commands = {f"command.{function}" for function in (*COMMANDS.values(), "program")}
    assert {name for name in ENGLISH if name.startswith("command.")} == commands


# Which language


@pytest.mark.parametrize(
    ("arguments", "locale", "language"),
    [
        (["inspect", "--lang", "ko", "--help"], "C", "ko"),
        (["inspect", "--lang=ko"], "C", "ko"),
        (["inspect", "--lang", "en"], "ko_KR.UTF-8", "en"),
        (["inspect", "--lang", "en", "--lang", "ko"], "C", "ko"),
        (["inspect", "--lang", "fr"], "ko_KR.UTF-8", "ko"),
        (["inspect", "--lang"], "ko_KR.UTF-8", "ko"),
        (["inspect", "ko"], "C", "en"),
        ([], "ko_KR.UTF-8", "ko"),
        ([], "C", "en"),
    ],
)
def test_the_option_names_the_language_and_else_the_locale(
    monkeypatch, arguments, locale, language
):
    monkeypatch.setenv("LC_ALL", locale)
    assert manual.language(arguments) == language


@pytest.mark.parametrize(
    ("locale", "asked", "start"),
    [
        ("ko_KR.UTF-8", [], "사용법: xai-detect inspect [옵션] {"),
        ("C.UTF-8", ["--lang", "ko"], "사용법: xai-detect inspect [옵션] {"),
        ("ko_KR.UTF-8", ["--lang", "en"], "Usage: xai-detect inspect [OPTIONS] {"),
    ],
)
def test_help_typed_at_a_prompt_is_in_the_language(locale, asked, start):
    code = "import sys; from xai_detect.commands import app; sys.argv[0] = 'xai-detect'; app.main()"
    page = in_locale(locale, "-c", code, "inspect", *asked, "--help")
    assert page.split("\n")[1].strip().startswith(start)
    column = re.sub(r" +-[^│]*? {2,}|[│\s]", "", page)  # what is broken over lines, in one piece
    said = catalogue("ko").say("help.also_asked").replace(" ", "")
    assert (said in column) == start.startswith("사")


# Pages


def sentences(templates):
    """Words of each sentence of the help, paragraph by paragraph, around what is filled in."""
    for name, template in templates.items():
        if name.startswith(("usage.", "command.", "help.")):
            parts = [part for part, *_ in string.Formatter().parse(template)]
            yield from (
                (name, line) for part in parts for line in part.strip("] ").split("\n") if line
            )


def test_korean_help_holds_every_korean_sentence_and_no_english_one(korean):
    page = "\n".join(korean)
    assert [found for found in sentences(KOREAN) if found[1] not in page] == []
    alike = set(sentences(KOREAN))
    found = [(name, part) for name, part in sentences(ENGLISH) if part in page]
    assert set(found) <= alike


def test_english_help_is_found_out_by_the_same_search():
    page = "\n".join(pages("C.UTF-8", [WIDE]))
    assert [found for found in sentences(ENGLISH) if found[1] not in page] == []


def test_no_letter_is_lost_where_lines_of_korean_are_broken():
    broken = "".join(pages("ko_KR.UTF-8", range(76, 110, 3)))
    # a file name that is longer than its column may be cut, in any language
    assert re.findall(r"[가-힣.,]+ ?…", broken) == []
    assert len(re.findall("[가-힣]", broken)) > 10_000


@pytest.mark.parametrize(
    ("line", "columns", "left"),
    [
        ("있는 ", 4, "있는"),
        ("있는  ", 5, "있는 "),
        ("있는 ", 5, "있는 "),
        ("있는 ", 3, "있는"),
        ("ab ", 2, "ab"),
        ("ab", 1, "ab"),
        ("   ", 1, " "),
        ("", 1, ""),
    ],
)
def test_only_space_beyond_the_columns_is_taken_away(line, columns, left):
    text = Text(line)
    manual._strip_beyond(text, columns)
    assert text.plain == left
