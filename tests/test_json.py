"""Strict JSON and back: unmeasured stays unmeasured, and what a file claims is not believed."""

import json
import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.values.json import (
    as_box,
    as_list,
    as_mapping,
    as_number,
    as_numbers,
    as_text,
    as_whole,
    damaged,
    number,
    numbers_to_json,
    plain,
    read_json,
    write_json,
)


class Colour(Enum):
    RED = "red"
    HALF = 0.5


@dataclass(frozen=True)
class Settings:
    steps: int
    fill: str | None
    inner: tuple[float, ...] = ()


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


@given(st.floats())
def test_every_float_comes_back_through_strict_json(value):
    text = json.dumps(number(value), allow_nan=False)
    assert same(as_number(json.loads(text)), value)


def test_what_is_no_number_is_null_and_what_has_no_end_is_text():
    given_numbers = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5, "e": -1.0}
    assert numbers_to_json(given_numbers) == {
        "a": None, "b": "Infinity", "c": "-Infinity", "d": 0.5, "e": -1.0
    }  # fmt: skip
    back = as_numbers(numbers_to_json(given_numbers))
    assert all(same(back[name], value) for name, value in given_numbers.items())


@pytest.mark.parametrize("content", [None, True, 1.0, 1.5, "1", [1], {}])
def test_nothing_else_passes_for_a_whole_number(content):
    assert as_whole(-3) == -3
    with pytest.raises(TypeError, match="where a whole number belongs"):
        as_whole(content)


@pytest.mark.parametrize("content", [True, False, "NaN", "1.5", "infinity", [1.0], {}])
def test_nothing_else_passes_for_a_number(content):
    with pytest.raises(TypeError):
        as_number(content)


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (as_text, ["", "a"], [None, 1, b"a", ["a"]]),
        (as_list, [[], [1]], [None, (), "ab", {}]),
        (as_mapping, [{}, {"a": 1}], [None, [], "a"]),
        (
            as_box,
            [[0, 1, 2, 3.5]],
            [None, [1, 2, 3], [1, 2, 3, 4, 5], "1234", ["x", 1, 2, 3], [[0], 1, 2, 3]],
        ),
        (as_numbers, [{}, {"a": 1.0}], [[], {"a": "b"}, {1: 1.0}]),
    ],
)
def test_kinds_are_checked(read, good, bad):
    for content in good:
        assert list(read(content)) == list(content)
    for content in bad:
        with pytest.raises((TypeError, ValueError)):
            read(content)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        ("a", "a"),
        (0.25, 0.25),
        (math.nan, None),
        (np.float32(0.5), 0.5),
        (np.float64(-math.inf), "-Infinity"),
        (np.int64(7), 7),
        (np.bool_(False), False),
        (Colour.RED, "red"),
        ([Colour.HALF, (1, 2)], [0.5, [1, 2]]),
        ({1: {"a": (math.inf,)}}, {"1": {"a": ["Infinity"]}}),
        (Settings(3, None, (0.5, math.nan)), {"steps": 3, "fill": None, "inner": [0.5, None]}),
        (Settings, str(Settings)),
        (Path("a/b"), "a/b"),
        (1j, "1j"),
    ],
)
def test_settings_become_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


def test_arrays_become_their_digest():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    text = plain(array)
    assert text.startswith("array (2, 3) float32 sha256 ")
    assert plain(torch.from_numpy(array)) == text
    assert plain(torch.from_numpy(array).requires_grad_()) == text
    assert plain(np.asfortranarray(array)) == text
    assert plain(array + 1) != text
    assert plain(array.astype(np.float64)) != text
    assert plain(array.reshape(3, 2)) != text


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "new" / "a.json"
    content = {"name": "Zürich", "values": [1, 0.5, None]}
    write_json(path, content)
    assert read_json(path) == content
    assert path.read_bytes().isascii()
    assert path.read_bytes().count(b"\n") == 1
    assert path.read_bytes().endswith(b"}\n")
    write_json(path, content, indent=1)
    assert path.read_bytes().count(b"\n") > 5
    assert read_json(path) == content


def test_a_nan_that_slipped_through_is_a_bug_and_leaves_the_file_alone(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, [1])
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            write_json(path, [value])
    assert read_json(path) == [1]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[NaN]", "[Infinity]", "[-Infinity]", "[" * 100_000, "\xff\xfe", '"\\ud800'],
    ids=["empty", "open", "nan", "infinity", "minus", "deep", "bytes", "text"],
)
def test_damaged_files_are_named_in_one_sentence(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.json is (damaged|not valid JSON) \(") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json cannot be read \(No such file"):
        read_json(tmp_path / "gone.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path)


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as stream:  # takes no room on the disk
        stream.truncate(256_000_001)
    with pytest.raises(InputError, match="has 256,000,001 bytes; the limit"):
        read_json(path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("boxes"), r"\('boxes' is missing\)"),
        (ValueError("two\nlines"), r"\(two lines\)"),
        (TypeError("text where a number belongs"), "text where a number"),
        (IndexError("x" * 500), r"\(x{200}\)"),
        (OSError("gone"), "gone"),
        (ZeroDivisionError("none"), "none"),
    ],
)
def test_faults_while_reading_become_one_sentence(tmp_path, error, words):
    with pytest.raises(InputError, match=words) as caught, damaged(tmp_path / "run.json"):
        raise error
    assert str(tmp_path / "run.json") in str(caught.value)
    assert caught.value.__cause__ is error


def test_bugs_are_not_taken_for_damage(tmp_path):
    with pytest.raises(AssertionError), damaged(tmp_path):
        raise AssertionError
    with damaged(tmp_path):
        pass
