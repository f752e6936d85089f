"""The tool that tests the tests: what it changes, and that its list of nearest tests holds."""

import ast
from pathlib import Path

import pytest
from mutants import FOLDERS, TESTS, drawn, nearest
from mutations import mutations

ROOT = Path(__file__).parents[1]

SOURCE = '''
"""A text about 1 < 2."""
LIMIT: float = 3

def between(low: float, value: float) -> float:
    """Not mutated: 1 + 1."""
    if value < low and not value == 0:
        raise ValueError(f"{value + 1} is below")
    return max(low, value * 2)

def cut(image):
    return image.clamp(min=0)
'''
MODULES = sorted(
    path.relative_to(ROOT)
    for folder in FOLDERS
    for path in (ROOT / "xai_detect" / folder).rglob("*.py")
    if path.name != "__init__.py"
)


def test_each_kind_of_mistake_is_made():
    made = {(one.kind, one.old, one.new) for one in mutations(SOURCE)}
    assert made == {
        ("constant", "3", "(4)"),
        ("constant", "3", "(2)"),
        ("constant", "3", "(6)"),
        ("and/or", "value < low and not value == 0", "(value < low or not value == 0)"),
        ("comparison", "value < low", "(value <= low)"),
        ("comparison", "value < low", "(value >= low)"),
        ("not", "not value == 0", "(value == 0)"),
        ("comparison", "value == 0", "(value != 0)"),
        ("constant", "0", "(1)"),
        ("constant", "0", "(-1)"),
        ("return", "return max(low, value * 2)", "return None"),
        ("return", "return max(low, value * 2)", "return float('nan')"),
        ("min/max", "max(low, value * 2)", "(min(low, value * 2))"),
        ("arithmetic", "value * 2", "(value / 2)"),
        ("constant", "2", "(3)"),
        ("constant", "2", "(1)"),
        ("constant", "2", "(4)"),
        ("return", "return image.clamp(min=0)", "return None"),
        ("dropped", "image.clamp(min=0)", "(image)"),
    }


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_mutation_of_the_package_is_python_and_something_else(module):
    source = (ROOT / module).read_text()
    for one in mutations(source):
        assert one.old in source
        assert ast.dump(ast.parse(one.applied(source))) != ast.dump(ast.parse(source)), one


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_nearest_test(module):
    assert nearest(module)
    assert all((ROOT / "tests" / name).is_file() for name in nearest(module))


def test_the_list_of_nearest_tests_names_what_exists():
    for name, tests in TESTS.items():
        assert (ROOT / "xai_detect" / f"{name}.py").is_file(), name
        assert all((ROOT / "tests" / test).is_file() for test in tests), name


def test_a_sample_is_even_over_modules_and_the_same_for_a_seed():
    some = MODULES[:4]
    one = drawn(some, 12, 5)
    assert one == drawn(some, 12, 5)
    assert one != drawn(some, 12, 6)
    assert {module: sum(mutant.module == module for mutant in one) for module in some} == (
        dict.fromkeys(some, 3)
    )
