"""The catalogues of words: all languages say the same things, and nothing is missing."""

import locale

import pytest

from xai_detect.errors import InputError
from xai_detect.trust.evidence import NAMES, WORDS
from xai_detect.values.findings import Level
from xai_detect.words.catalogue import LANGUAGES, catalogue, fields, of_locale


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_holds_the_same_names_with_the_same_braces(language):
    english, other = catalogue("en").templates, catalogue(language).templates
    assert list(other) == list(english)
    for name, template in english.items():
        assert fields(other[name]) == fields(template), name
        assert bool(other[name]) == bool(template), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_about_evidence_ask_for_what_evidence_holds(language):
    words = catalogue(language)
    for name, template in words.templates.items():
        if name.partition(".")[0] in ("verdict", "numbers", "note"):
            assert fields(template) <= {*NAMES, *WORDS, "calibration"}, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_domain_and_level_has_an_action(language):
    for domain in ("photo", "xray"):
        for level in Level:
            assert catalogue(language).has(f"action.{domain}_{level.value.lower()}")
    assert not catalogue(language).has("action.sonar_trusted")


def test_sentences_are_filled_in_and_a_space_stands_before_the_percent_sign():
    said = catalogue().say("numbers.presence_one", presence_second=0.256, name="not used")
    assert said == "Box and margin alone keep 26 % of it."


def test_an_unknown_language_is_refused():
    with pytest.raises(InputError, match="no words in 'tlh'; choose from en, ko"):
        catalogue("tlh")


@pytest.mark.parametrize(
    ("found", "language"), [("ko_KR", "ko"), ("en_GB", "en"), ("de_DE", "en"), (None, "en")]
)
def test_the_locale_chooses_the_language(monkeypatch, found, language):
    monkeypatch.setattr(locale, "getlocale", lambda: (found, "UTF-8"))
    assert of_locale() == language


def test_fields_are_the_names_in_braces():
    assert fields("{one:.0%} and {two}, {{three}}") == {"one", "two"}
    assert fields("") == frozenset()
