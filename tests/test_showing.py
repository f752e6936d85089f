"""What prints, what a notebook shows, pictures in a line, tables: no tensors, no surprises."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from samples import NAMES, inspection, spot
from toy import ToyDetector, scene

import xai_detect as xd
from xai_detect.output import notebook
from xai_detect.output.run import save
from xai_detect.values.detections import Detections, listed, short
from xai_detect.values.findings import Level

SIZE = (40, 60)


def found(**options):
    maps = {"heatmaps": [spot(SIZE, 15, 5, side=4)], "contrasts": [spot(SIZE, 15, 50, side=4)]}
    return inspection(rows=1, **{**maps, **options})


def test_records_print_as_one_line_without_tensors():
    one = inspection(rows=2)
    texts = {
        "inspection": repr(one),
        "detections": repr(one.detections),
        "explanation": repr(one.explanations[0]),
        "evidence": repr(one.evidence[0]),
        "verdict": repr(one.verdicts[0]),
        "target": repr(one.detections.target(0)),
    }
    for text in texts.values():
        assert "\n" not in text
        assert "tensor(" not in text
        assert len(text) < 250
    first, second = NAMES[:2]
    assert texts["inspection"] == (
        f"Inspection(zebra.jpg: {first} .90 TRUSTED p=.87, {second} .60 TRUSTED p=.87)"
    )
    assert texts["detections"] == f"Detections(2 in 60 x 40: {first} .90, {second} .60)"
    assert texts["target"] == "Target(zebra .90 at 2, 5, 16, 30)"
    assert repr(inspection(rows=0)) == "Inspection(zebra.jpg: nothing found)"


def test_the_shipped_probability_says_that_it_is_uncalibrated():
    assert "p=.87 (uncalibrated)" in repr(inspection(rows=1, fitted="shipped"))


def test_long_rows_are_cut():
    assert listed(list("abcdefgh")) == "a, b, c, d, e, and 3 more"
    assert listed([]) == ""
    assert (short(0.934), short(1.0), short(float("nan"))) == (".93", "1.00", "nan")


def test_a_notebook_shows_picture_sentence_and_folded_numbers():
    strange = found(source="<b>.png")
    page = strange._repr_html_()
    assert page.count("<img ") == 1
    assert strange.verdicts[0].sentence in page
    assert "<details>" in page
    assert "<b>.png" not in page
    for shown in (strange.detections, strange.verdicts[0], strange.explanations[0]):
        assert "tensor(" not in shown._repr_html_()
    assert "nothing found" in inspection(rows=0)._repr_html_()


def test_anything_else_is_shown_as_it_prints():
    assert notebook.html({"<": 1}) == "<code>{&#x27;&lt;&#x27;: 1}</code>"


@pytest.mark.parametrize("style", ["auto", "contours", "heat"])
@pytest.mark.parametrize("kind", ["detected", "class", "added"])
def test_an_inspection_is_drawn_on_axes(style, kind):
    axes = found().plot(map=kind, style=style)
    assert isinstance(axes, Axes)
    assert axes.get_xlim() == (0, 60)
    assert "zebra 0.90" in axes.get_title(loc="left")


def test_contours_lie_where_the_evidence_does_and_keep_the_colours():
    one = found()
    axes = one.plot(style="contours")
    lines = [line.get_xydata() for line in axes.lines]
    inside = [line for line in lines if 3 < line[:, 0].mean() < 11 and 12 < line[:, 1].mean() < 22]
    assert inside
    picture = axes.images[0].get_array()
    wanted = np.rint(one.image.permute(1, 2, 0).numpy() * 255)
    assert np.array_equal(picture, wanted)
    assert len(axes.images) == 1
    heated = one.plot(style="heat")
    assert len(heated.images) == 2
    ground = np.asarray(heated.images[0].get_array())
    assert (ground[..., 0] == ground[..., 2]).all()


def test_axes_of_ones_own_are_drawn_on():
    axes = Figure().subplots()
    assert found().plot(ax=axes) is axes
    made = found().explanations[0]
    assert made.plot(found().image, ax=axes) is axes


def test_several_maps_lie_beside_each_other(tmp_path):
    one = found()
    places = xd.plot([one.explanations[0], one.contrasts[0]], one.image, style="heat")
    assert len(places) == 2
    assert places[0].figure is places[1].figure
    places[0].figure.savefig(tmp_path / "maps.pdf")
    assert (tmp_path / "maps.pdf").read_bytes().startswith(b"%PDF")


def test_what_cannot_be_drawn_is_one_sentence():
    one = found()
    with pytest.raises(xd.XaiDetectError, match="there is no map 'other'; choose from detected"):
        one.plot(map="other")
    with pytest.raises(xd.XaiDetectError, match="there is no style 'rainbow'"):
        one.plot(style="rainbow")
    with pytest.raises(xd.XaiDetectError, match="there is no detection 4"):
        one.plot(row=4)
    with pytest.raises(xd.XaiDetectError, match="pass at least one"):
        xd.plot([])
    with pytest.raises(xd.XaiDetectError, match="leave ax out"):
        xd.plot([one.explanations[0]] * 2, ax=Figure().subplots())
    with pytest.raises(
        xd.XaiDetectError, match="the image is 9 x 8, but the map is of one of 60 x 40"
    ):
        one.explanations[0].plot(torch.zeros(3, 8, 9))
    with pytest.raises(xd.XaiDetectError, match="there is no detection 3"):
        one.to_image(row=3)


def test_pictures_are_images_of_pil():
    one = found()
    for picture in (one.to_image(), one.to_image(row=0), one.explanations[0].to_image(one.image)):
        assert isinstance(picture, Image.Image)
        assert picture.mode == "RGB"


def test_tables_have_a_row_for_each_detection_and_the_columns_of_a_run(tmp_path):
    pytest.importorskip("pandas", reason="needs pandas")
    one = inspection(rows=2, level=Level.UNCERTAIN)
    table = one.to_arrow()
    assert isinstance(table, pa.Table)
    assert table.num_rows == 2
    assert table["level"].to_pylist() == ["UNCERTAIN"] * 2
    run = save([one], tmp_path / "run")
    assert run.to_arrow().schema == table.schema
    frame = one.to_frame()
    assert list(frame["class"]) == list(NAMES[:2])
    assert len(run.to_frame()) == 2
    assert repr(run).startswith("Run(")
    assert "2 detections" in repr(run)
    assert "<ul>" in run._repr_html_()
    assert inspection(rows=0).to_arrow().num_rows == 0


def test_without_pandas_a_frame_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(xd.XaiDetectError, match="pip install pandas, or use to_arrow"):
        inspection(rows=1).to_frame()


def test_records_know_nothing_of_drawing_until_they_are_asked():
    code = (
        "import sys, xai_detect.values.findings\n"
        "print([name for name in ('matplotlib', 'xai_detect.output') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_a_real_inspection_prints_and_is_drawn():
    one = xd.inspect(ToyDetector(), scene(("red", 2, 3)))
    assert repr(one).startswith("Inspection(image: red .9")
    assert isinstance(one.plot(), Axes)
    assert repr(Detections.empty((4, 5), ("a",))) == "Detections(0 in 5 x 4)"


def test_a_gallery_has_a_place_for_each_method_and_says_what_it_cost(tmp_path):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    target = xd.detect(detector, image).target(0)
    places = xd.gallery(detector, image, target, ["odam", "input_x_gradient", "occlusion"],
                        columns=2)  # fmt: skip
    assert [place.get_title(loc="left") for place in places] == [
        "odam", "input_x_gradient", "occlusion"
    ]  # fmt: skip
    assert all(" s" in place.get_xlabel() for place in places)
    assert "passes" in places[1].get_xlabel()
    places[0].figure.savefig(tmp_path / "gallery.png")
    with pytest.raises(xd.XaiDetectError, match="name at least one"):
        xd.gallery(detector, image, target, [])


def test_methods_are_a_table():
    rows = xd.methods()
    assert [row.name for row in rows] == list(xd.METHODS)
    assert repr(rows).splitlines()[0].startswith("method ")
    assert rows._repr_html_().count("<tr>") == len(rows) + 1
