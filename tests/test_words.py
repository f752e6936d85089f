"""Words by language: complete, asked for by name, in the right form; Korean pages are Korean."""

import re

import pytest

from xai_detect.errors import InputError
from xai_detect.trust.evidence import NAMES, WORDS
from xai_detect.values.findings import Level
from xai_detect.words.catalogue import LANGUAGES, catalogue, fields, of_locale, spoken
from xai_detect.words.particles import particles

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
