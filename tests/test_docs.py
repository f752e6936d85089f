"""Python on the pages of docs/ runs as it stands there, and gives what its comments say."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


def blocks(page):
    """The blocks of Python on a page, in their order."""
    parts = (ROOT / "docs" / page).read_text().split("```python\n")[1:]
    return [part.partition("```")[0] for part in parts]


BLOCKS = blocks("captum.md")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
]


def run(block, names):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exec(block, names)  # noqa: S102 - a page of this repository


@pytest.fixture(scope="module")
def left():
    """The names that the first block of the page leaves."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        run(BLOCKS[0], names)
    return names


@pytest.fixture
def begun(left, monkeypatch):
    monkeypatch.chdir(ROOT)
    return dict(left)


def shapes(block):
    """The shapes that comments at the end of a statement give, by the name that is set."""
    found, name = {}, ""
    for line in block.splitlines():
        if assigned := re.match(r" *(\w+) = ", line):
            name = assigned[1]
        if stated := re.search(r"# (\(\d[\d, ]*\))$", line):
            found[name] = ast.literal_eval(stated[1])
    return found


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_page_on_captum_runs(number, begun):
    block = BLOCKS[number]
    for package in ("shap", "pytorch_grad_cam"):
        if package in block:
            pytest.importorskip(package)
    if number:
        run(block, begun)
    for name, shape in shapes(block).items():
        assert tuple(begun[name].shape) == shape, name


def test_the_first_page_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text()
    part = text.partition("## In Python")[2].partition("## Command line")[0]
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = [block.partition("```")[0] for block in part.split("```python\n")[1:]]
    assert len(blocks) == 3
    for block in blocks:
        run(block, names)
    printed = capsys.readouterr().out
    (line,) = re.findall(r"^    (Inspection\(.*)$", part, flags=re.MULTILINE)
    assert line in printed
    assert (tmp_path / "bag.png").is_file()
    assert (tmp_path / "my_run" / "report.html").is_file()


def test_the_notebook_runs(tmp_path, monkeypatch):
    """Cell by cell; what a cell ends in shows itself as a notebook would show it."""
    content = json.loads((ROOT / "docs/notebooks/first.ipynb").read_text())
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    where = tmp_path / "docs" / "notebooks"
    where.mkdir(parents=True)
    monkeypatch.chdir(where)
    names, shown = {}, []
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "pictures of scans are not kept in the notebook"
            body = ast.parse("".join(cell["source"]))
            last = body.body[-1]
            if isinstance(last, ast.Expr):
                body.body[-1] = ast.copy_location(
                    ast.Assign([ast.Name("_", ast.Store())], last.value), last
                )
                ast.fix_missing_locations(body)
            run(compile(body, "cell", "exec"), names)
            if isinstance(last, ast.Expr):
                shown.append(names["_"])
    pages = [one._repr_html_() for one in shown if hasattr(one, "_repr_html_")]
    assert len(pages) >= 4
    assert "<img " in pages[0]
    assert (where / "first_run" / "report.html").is_file()


def test_shapes_on_the_page_are_read():
    stated = [shapes(block) for block in BLOCKS]
    assert stated[0] == {"maps": (1, 3, 320, 320)}
    assert sum(map(len, stated)) == 6


def test_what_the_page_says_of_its_image_and_its_layers(begun):
    assert [target.name for target in begun["found"]] == ["straight_knife", "scissors"]
    (layers,) = (block for block in BLOCKS if "LayerGradCam" in block)
    run(layers, begun)
    assert bool(begun["cells"].any())


@pytest.fixture(scope="module")
def own():
    """The names that the page on detectors of one's own leaves, its blocks run in order."""
    names = {}
    for block in blocks("own_detector.md"):
        run(block, names)
    return names


def test_the_page_on_own_detectors_runs(own):
    assert own["maps"][0].heatmap.shape == (48, 64)
    assert float(own["maps"][0].heatmap.abs().max()) > 0
    assert len(own["inspection"].verdicts) == len(own["inspection"].detections) > 0
    assert [target.name for target in own["seen"]] == ["knife"]
    assert own["heat"].heatmap.isfinite().all()
    assert sorted(own["best"]) == [0, 1, 2]
    assert [one.target.name.split(":")[0] for one in own["several"]].count("age") == 1


def test_objectness_times_class_is_what_the_page_says(own):
    logits = torch.linspace(-9, 9, 13, dtype=torch.float64)
    a, b = torch.meshgrid(logits, logits, indexing="ij")
    found, p = own["log_odds_of_product"](a, b), a.sigmoid() * b.sigmoid()
    torch.testing.assert_close(found, torch.logit(p))
    assert bool(own["log_odds_of_product"](*torch.full((2, 1), 60.0)).isfinite())
    output = own["detector"].module(own["detector"].frame((48, 64)).to_input(own["image"][None]))
    with torch.no_grad():
        reported = output[..., 4:5].sigmoid() * output[..., 5:].sigmoid()
    target = own["found"].target(0)
    assert target.score == pytest.approx(float(reported[0, target.candidate].max()), rel=1e-5)


def test_the_detector_of_the_page_is_short():
    first = blocks("own_detector.md")[0]
    decoder = first[first.index("def log_odds_of_product") : first.index("image = ")]
    assert len(decoder.splitlines()) <= 30


def test_the_page_on_many_images_runs_from_top_to_bottom(tmp_path, monkeypatch):
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("many_images.md"):
        run(block, names)
    assert len(names["levels"]) == len(names["again"]) == len(names["kept"].records) == 3
    assert [len(levels) for levels in names["levels"].values()] == [0, 1, 1]
    assert names["kept"].status == "done"
    assert names["names"] == ["image-000000", "image-000001"]
    assert names["in_turn"] == list(names["levels"])[:2]
    assert [found.source for found in names["both"]] == names["files"][:2]
