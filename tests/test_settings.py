"""Hyper-parameters from outside: every type a field may have, right and wrong."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from xai_detect.errors import InputError
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.protocol import settings_of
from xai_detect.explainers.settings import checked_settings


@dataclass(frozen=True, slots=True)
class Sample:
    name: ClassVar[str] = "sample"
    steps: int = 8
    share: float = 0.5
    fill: str = "blur"
    conserve: bool = True
    alpha: float | None = None
    scales: tuple[int, ...] = (1, 2)
    weights: tuple[float, float] = (0.5, 0.5)
    mode: Literal["cls", "ins"] = "cls"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("steps", 3, 3),
        ("share", 0.1, 0.1),
        ("share", 1, 1),
        ("fill", "air", "air"),
        ("conserve", False, False),
        ("alpha", None, None),
        ("alpha", 0.3, 0.3),
        ("scales", [50, 100], (50, 100)),
        ("scales", (), ()),
        ("weights", (1, 0.5), (1, 0.5)),
        ("mode", "ins", "ins"),
    ],
)
def test_values_of_the_right_type_pass(name, value, kept):
    assert checked_settings(Sample, {name: value}) == {name: kept}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("steps", "many", "steps of sample is 'many', a text; expected a whole number"),
        ("steps", True, "steps of sample is True, a truth value; expected a whole number"),
        ("steps", 8.0, "steps of sample is 8.0, a number; expected a whole number"),
        ("steps", None, "steps of sample is None; expected a whole number"),
        ("share", False, "share of sample is False, a truth value; expected a number"),
        ("fill", 5, "fill of sample is 5, a whole number; expected a text"),
        ("conserve", "no", "conserve of sample is 'no', a text; expected true or false"),
        ("conserve", 1, "conserve of sample is 1, a whole number; expected true or false"),
        ("alpha", "x", "alpha of sample is 'x', a text; expected a number or None"),
        ("scales", 50, "scales of sample is 50, a whole number; expected a list, each a whole num"),
        ("scales", [50, "x"], "a list; expected a list, each a whole number"),
        ("weights", [1.0], "expected a list of 2: a number, a number"),
        ("mode", "box", "expected one of 'cls', 'ins'"),
        ("steps", {}, "steps of sample is {}, a dict; expected a whole number"),
    ],
)
def test_values_of_another_type_are_named(name, value, sentence):
    with pytest.raises(InputError) as caught:
        checked_settings(Sample, {name: value})
    assert sentence in str(caught.value)


def test_unknown_settings_are_named():
    with pytest.raises(InputError, match="cannot be set up with 'stps'; did you mean 'steps'"):
        build_method("integrated_gradients", stps=3)
    with pytest.raises(InputError, match="choose from baseline"):
        build_method("input_x_gradient", zzz=3)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_from_its_own_settings(name):
    method = METHODS[name]()
    assert build_method(name, **settings_of(method)) == method


@pytest.mark.parametrize("name", METHODS)
def test_every_method_refuses_a_setting_of_another_type(name):
    for field in settings_of(METHODS[name]()):
        with pytest.raises(InputError, match=f"{field} of {name} is "):
            build_method(name, **{field: {}})
