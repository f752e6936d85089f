"""Words by language: complete, asked for by name, in the right form; Korean pages are Korean."""

import ast
import html
import re
import string
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from samples import inspection, spot

import xai_detect
from xai_detect.commands import text
from xai_detect.errors import InputError
from xai_detect.output.run import save
from xai_detect.trust.evidence import NAMES, WORDS
from xai_detect.values.findings import Answer, Level
from xai_detect.values.truth import Fate, Kind, Missed, Outcome
from xai_detect.words.catalogue import LANGUAGES, catalogue, fields, of_locale, spoken
from xai_detect.words.particles import particles

PACKAGE = Path(xai_detect.__file__).parent
TEMPLATE = PACKAGE / "output" / "report" / "report.html.j2"
ENGLISH = catalogue("en").templates
HANGUL = re.compile(r"[가-힣]")


# Catalogues


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_hold_the_same_names_and_braces(language):
    own = catalogue(language).templates
    assert own.keys() == ENGLISH.keys()
    assert {name: fields(one) for name, one in own.items()} == {
        name: fields(one) for name, one in ENGLISH.items()
    }
    assert [name for name, one in own.items() if bool(one) != bool(ENGLISH[name])] == []


ALIKE = {"picture.holds_half", "plot.f1", "plot.class_curve", "figure.f1"}


def test_korean_sentences_are_korean():
    korean = catalogue("ko").templates
    bare = {
        name
        for name, one in korean.items()
        if one and not HANGUL.search(one) and re.search("[A-Za-z]{2}", re.sub("{.*?}", "", one))
    }
    assert bare <= ALIKE


def test_a_language_without_words_is_refused_or_spoken_of_in_english():
    with pytest.raises(InputError, match="no words in 'de'; choose from en, ko"):
        catalogue("de")
    assert (spoken("de").language, spoken("ko").language) == ("en", "ko")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LANG": "fi_FI.UTF-8"}, "en"),
    ],
)
def test_the_locale_chooses(monkeypatch, environment, language):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert of_locale() == language


def test_shares_have_the_sign_of_the_language_and_given_text_stays():
    values = {"number": 1, "share": 0.123}
    assert catalogue("en").say("picture.outside", **values) == "outside 1: 12 %"
    assert catalogue("ko").say("picture.outside", **values) == "상자 밖 1: 12%"
    assert catalogue("en").say("page.image_alt", file="100%.png") == "100%.png, without marks"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("'칼'(이)라고", "'칼'이라고"),
        ("'가위'(이)라고", "'가위'라고"),
        ("'총'(으)로", "'총'으로"),
        ("'칼'(으)로", "'칼'로"),
        ("가위을(를) 총을(를)", "가위를 총을"),
        ("총과(와) 가위과(와)", "총과 가위와"),
        ("'knife'(이)라고", "'knife'(이)라고"),
        ("종류 (이) 괄호", "종류 (이) 괄호"),
    ],
)
def test_particles_follow_the_syllable_before_them(written, read):
    assert particles(written) == read


# Sentences of a verdict


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_about_evidence_ask_for_what_evidence_holds(language):
    for name, template in catalogue(language).templates.items():
        if name.partition(".")[0] in ("verdict", "numbers", "note"):
            assert fields(template) <= {*NAMES, *WORDS, "calibration"}, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_domain_and_level_has_an_action(language):
    for domain in ("photo", "xray"):
        for level in Level:
            assert catalogue(language).has(f"action.{domain}_{level.value.lower()}")
    assert not catalogue(language).has("action.sonar_trusted")


# Names


def asked_names():
    """Every name that code and template ask for: plain, or a pattern where a part is computed."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                called = ast.unparse(node.func).rpartition(".")[2]
                yield from named(called, node.args[0], path)
    for name in re.findall(r'words\.say\("([^"]+)"( ~)?', TEMPLATE.read_text(encoding="utf-8")):
        yield TEMPLATE.name, re.escape(name[0]) + (".+" if name[1] else "")
    for what in re.findall(r'words\.counted\("([^"]+)"', TEMPLATE.read_text(encoding="utf-8")):
        yield TEMPLATE.name, rf"count\.{what}_(none|one|many)"


def named(method, first, path):
    choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
    for choice in choices:
        if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
            pattern = re.escape(choice.value)
        elif isinstance(choice, ast.JoinedStr):
            pattern = "".join(
                re.escape(part.value) if isinstance(part, ast.Constant) else ".+"
                for part in choice.values
            )
        else:
            continue
        if method == "say":
            yield path.name, pattern
        elif method == "known":
            yield path.name, rf"{pattern}\..+"
        elif method == "counted":
            yield path.name, rf"count\.{pattern}_(none|one|many)"


def test_every_name_that_is_asked_for_exists():
    asked = set(asked_names())
    assert len(asked) > 150
    missing = [
        (where, name)
        for where, name in asked
        if not any(re.fullmatch(name, own) for own in ENGLISH)
    ]
    assert missing == []


def test_no_word_is_left_that_nothing_asks_for():
    wide = re.compile(r"(\.\+\\\.)?\.\+")  # `{table}.{name}`: says nothing about either
    asked = {name for _, name in asked_names() if not wide.fullmatch(name)}
    # tables that a table's name leads to: figures of an evaluation, and how a map was made
    asked |= {r"figure\..+", r"making\..+", r"measured\..+"}
    unused = [own for own in ENGLISH if not any(re.fullmatch(name, own) for name in asked)]
    assert unused == []


# Pages


def test_the_template_holds_no_words_of_its_own():
    page = TEMPLATE.read_text(encoding="utf-8")
    for block in (r"<style>.*?</style>", r"<script>.*?</script>", r"{{.*?}}", r"{%.*?%}"):
        page = re.sub(block, "", page, flags=re.DOTALL)
    read = re.findall(r'(?:alt|aria-label|title|placeholder)="([^"]*)"', page)
    read += re.findall(r">([^<>]*)<", page)
    left = [one for one in read if re.search("[A-Za-z]{2}", html.unescape(one))]
    assert left == []


def korean_run(folder):
    """Every part of a report that has words: verdicts, a question, outcomes, a group, a failure."""
    size = (40, 60)
    one = inspection("가방.png", size=size, asked="zebra", map="unreliable",
                     level=Level.UNCERTAIN, added=[torch.ones(size)] * 2)  # fmt: skip
    boxes = one.detections.boxes.clone()
    boxes[1] = boxes[0]
    outcome = Outcome(
        (Fate(Kind.RIGHT, "zebra", 0.9), Fate(Kind.WRONG_NAME, "zebra", 0.8, 0)),
        (Missed("zebra", (1.0, 2.0, 3.0, 4.0)),),
    )
    together = replace(one, detections=replace(one.detections, boxes=boxes), outcome=outcome)
    maps = [spot(size, 5, 5), spot(size, 30, 50)]
    plain = inspection("b.png", heatmaps=maps, added=[torch.ones(size)] * 2, seed=1,
                       level=Level.UNTRUSTED, reason=Answer.SURROUNDINGS)  # fmt: skip
    return save([together, plain], folder, lang="ko")


def english_sentences():
    """Words of the English catalogue around what is filled in, long enough to be told apart."""
    for name, template in ENGLISH.items():
        parts = [part for part, *_ in string.Formatter().parse(template)]
        yield from (
            (name, part.strip()) for part in parts if re.search("[a-z]{3}.* .*[a-z]{3}", part)
        )


def visible(page):
    page = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"data:image/[^\"]*", "", page))


def test_a_korean_report_holds_no_english_sentence(tmp_path):
    korean_run(tmp_path / "run")
    page = visible((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert '<html lang="ko">' in page
    found = [(name, part) for name, part in english_sentences() if part in page]
    assert found == []
    for name in ("page.how_text", "page.trusted_text", "card.shares", "page.facts", "fate.right"):
        assert catalogue("ko").templates[name] in page
    assert "한 물체, 이름이 분명하지 않음: zebra 0.90 또는 <b>giraffe</b> 0.60." in page


def test_an_english_report_is_found_out_by_the_same_search(tmp_path):
    save([inspection()], tmp_path / "run")
    page = visible((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert len([1 for _, part in english_sentences() if part in page]) > 40


def test_the_lines_of_a_korean_run_are_korean(tmp_path):
    run = korean_run(tmp_path / "run")
    lines = text.run_lines(run, run.records).splitlines()
    assert "가방.png: 검출 2건" in lines
    assert "  - 한 물체, 이름이 분명하지 않음: zebra 0.90 또는 <b>giraffe</b> 0.60." in lines
    assert "  - 놓침: zebra" in lines
    assert lines[-5:] == [
        "영상 2장, 검출 4건: 신뢰 0, 불확실 2, 신뢰 불가 2",
        "  <b>giraffe</b>의 판단 근거: 주변 1, 어느 쪽인지 밝히지 못함 1",
        "  zebra의 판단 근거: 주변 1, 어느 쪽인지 밝히지 못함 1",
        "정답과 비교: 맞음 1, 틀림 1 (이름 틀림 1), 놓침 1",
        f"보고서: {run.folder / 'report.html'}",
    ]
