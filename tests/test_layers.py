"""The rows of the architecture: imports go downwards only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "xai_detect"
ROWS = (
    {"errors"},
    {"values"},
    {"detectors"},
    {"scores"},
    {"explainers"},
    {"measures"},
    {"trust"},
    {"data", "xray"},
    {"inspection"},
    {"evaluation"},
    {"output"},
    {"batch"},
    {"commands"},
    {"__init__", "__main__"},
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
    "pycocotools": {"measures", "data", "xray"},
    "typer": {"commands"},
    "rich": {"commands"},
}
"""Which parts may know a package; elsewhere nothing imports it, not even inside a function."""

MODULES = sorted(PACKAGE.rglob("*.py"))


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
            if node.module == "xai_detect":
                yield from (f"xai_detect.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards_only(path):
    part = part_of(path)
    for name in imported(path):
        if name.startswith("xai_detect.") and name != "xai_detect.__version__":
            other = name.split(".")[1]
            assert other == part or row_of(other) < row_of(part), (
                f"{part} imports {other}, which is above"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_vendors_stay_in_their_adapters(path):
    for name in imported(path):
        allowed = VENDORS.get(name.split(".")[0])
        assert allowed is None or part_of(path) in allowed, f"{part_of(path)} imports {name}"


def test_importing_the_package_loads_no_detection_library():
    import subprocess
    import sys

    code = "import sys, xai_detect; print({'torchvision', 'ultralytics'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
