"""The rows of the architecture: imports go downwards only, between folders and inside them."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "xai_detect"
ROWS = (
    {"errors"},
    {"values", "words"},
    {"detectors"},
    {"scores"},
    {"explainers"},
    {"measures"},
    {"trust"},
    {"data", "xray", "savanna"},
    {"inspection"},
    {"evaluation"},
    {"output"},
    {"batch"},
    {"commands"},
    {"__init__"},
)
VENDORS = {
    "torchvision": {"detectors"},
    "ultralytics": {"detectors"},
    "captum": {"explainers"},
    "shap": {"explainers"},
    "onnx": {"detectors"},
    "zennit": {"explainers"},
    "onnxruntime": {"detectors"},
    "skimage": {"explainers"},
    "supervision": {"output"},
    "pycocotools": {"measures", "data", "xray", "savanna"},
    "typer": {"commands"},
    "rich": {"commands"},
}
"""Which parts may know a package; elsewhere nothing imports it, not even inside a function."""

FOLDER_NAMES_TAKEN = {"inspect", "explain", "evaluate", "detect", "judge", "benchmark", "misses"}
"""Public functions: a folder of that name would hide one behind a module."""

MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})


def part_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def row_of(part):
    rows = [index for index, row in enumerate(ROWS) if part in row]
    assert rows, f"{part} is in no row; add it to ROWS in tests/test_layers.py"
    return rows[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(path):
    """The modules of the package that a file imports, as paths without suffix."""
    for name in imported(path):
        place = PACKAGE.parent.joinpath(*name.split("."))
        if name.startswith("xai_detect.") and place.with_suffix(".py").is_file():
            yield place


def arrows_inside(folder):
    """Which child of a folder imports which; a child is a module or a whole folder."""
    arrows = {}
    for path in folder.rglob("*.py"):
        child = path.relative_to(folder).with_suffix("").parts[0]
        for other in own_modules(path):
            if other.is_relative_to(folder):
                found = other.relative_to(folder).parts[0]
                if found != child:
                    arrows.setdefault(child, set()).add(found)
    return arrows


def circle_in(arrows):
    """A way that leads back to where it began, or None."""

    def walk(name, way):
        if name in way:
            return [*way[way.index(name) :], name]
        found = (walk(other, [*way, name]) for other in sorted(arrows.get(name, ())))
        return next((one for one in found if one), None)

    return next((way for way in (walk(name, []) for name in sorted(arrows)) if way), None)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards_only(path):
    part = part_of(path)
    for place in own_modules(path):
        other = part_of(place)
        assert other == part or row_of(other) < row_of(part), f"{other} is above {part}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_inside_a_folder_runs_back(folder):
    way = circle_in(arrows_inside(folder))
    assert way is None, f"{folder.name}: {' -> '.join(way)}"


def test_a_circle_would_be_seen():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}}) is None


def test_no_folder_is_called_as_a_public_function():
    assert not {folder.name for folder in FOLDERS} & FOLDER_NAMES_TAKEN


def test_every_folder_says_what_it_holds():
    for folder in FOLDERS:
        text = (folder / "__init__.py").read_text()
        assert ast.get_docstring(ast.parse(text)), folder


def test_every_row_exists():
    parts = {part_of(path) for path in MODULES}
    assert set(itertools.chain(*ROWS)) == parts


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_vendors_stay_in_their_adapters(path):
    for name in imported(path):
        allowed = VENDORS.get(name.split(".")[0])
        assert allowed is None or part_of(path) in allowed, f"{part_of(path)} imports {name}"


def test_importing_the_package_loads_no_detection_library():
    code = "import sys, xai_detect; print({'torchvision', 'ultralytics'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_the_map_of_the_project_names_every_folder():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    missing = [path.name for path in FOLDERS if path != PACKAGE and f"{path.name}/" not in page]
    assert not missing
