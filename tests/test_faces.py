"""Names in any script: read in pictures where the machine has the letters, else numbers."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.text import Text
from samples import inspection, spot
from test_explain_command import BLACK
from test_plots import SEEN, evaluation
from toy import ToyDetector, scene

from xai_detect.inspection.comparison import compare
from xai_detect.inspection.image import detect
from xai_detect.output.drawing import faces, plots, strokes, views
from xai_detect.output.drawing.faces import Face
from xai_detect.output.drawing.side_by_side import figure_of
from xai_detect.output.run import save
from xai_detect.values.truth import Fate, Kind, Missed, Outcome
from xai_detect.words.catalogue import catalogue

KNIFE, BAG = "칼", "여행 가방.png"
SIZE = (40, 60)


def built(path, letters):
    """A typeface whose letters are all the same square."""
    pen = TTGlyphPen(None)
    for step, point in enumerate([(100, 0), (100, 700), (800, 700), (800, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap(dict.fromkeys(letters, "square"))
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (900, 0), "square": (900, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return built(tmp_path_factory.mktemp("faces") / "NanumGothic.ttf", range(0xAC00, 0xD7A4))


@pytest.fixture
def machine(monkeypatch):
    """A machine that has these typefaces besides matplotlib's."""

    def forget():
        faces.picture_words.cache_clear()
        faces.families.cache_clear()

    def with_faces(*paths):
        monkeypatch.setattr(faces, "of_system", lambda *, bold: tuple(map(Face, paths)))  # noqa: ARG005
        forget()

    yield with_faces
    forget()


def inked(text, size=20):
    canvas = np.full((40, 200, 3), 255, np.uint8)
    strokes.write(canvas, (4, 20), text, size=size)
    return canvas.min(axis=2) < 128


# Looking typefaces up


def test_typefaces_are_found_by_file_name_where_there_is_no_fontconfig(monkeypatch, squares):
    latin = built(squares.with_name("malgun.ttf"), range(0x41, 0x5B))
    monkeypatch.setattr(faces.shutil, "which", lambda _: None)
    found = [str(latin), str(squares.with_name("Unknown.ttf")), str(squares)]
    monkeypatch.setattr(faces.font_manager, "findSystemFonts", lambda: found)
    assert faces.of_system.__wrapped__(bold=False) == (Face(squares),)


def test_fontconfig_is_asked_first_and_its_place_in_the_file_is_kept(
    monkeypatch, squares, tmp_path
):
    command = tmp_path / "fc-match"
    command.write_text(f"#!/bin/sh\nprintf '%s\\n%s' '{squares}' 65537\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(faces.font_manager, "findSystemFonts", lambda: [str(squares)])
    assert faces.of_system.__wrapped__(bold=True) == (Face(squares, 1), Face(squares))


@pytest.mark.parametrize("said", ["exit 1", "echo", "exec sleep 60", "printf '/gone.ttf\\n0'"])
def test_fontconfig_that_gives_no_answer_is_no_typeface(monkeypatch, tmp_path, said):
    command = tmp_path / "fc-match"
    command.write_text(f"#!/bin/sh\n{said}\n")
    command.chmod(0o755)
    plain = faces.subprocess.run
    monkeypatch.setattr(
        faces.subprocess, "run", lambda *given, **rest: plain(*given, **{**rest, "timeout": 0.3})
    )
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(faces.font_manager, "findSystemFonts", list)
    assert faces.of_system.__wrapped__(bold=False) == ()


def test_a_file_that_is_no_typeface_has_no_letters(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no typeface")
    assert faces.letters(Face(tmp_path / "broken.ttf")) == frozenset()
    assert faces.letters(Face(tmp_path / "gone.ttf")) == frozenset()


# Text


def test_a_text_is_cut_where_its_typeface_changes(machine, squares):
    machine(squares)
    parts = [(part, font.path) for part, font in faces.pieces("a 칼 b", 20, bold=False)]
    own = str(faces.own(bold=False).path)
    assert parts == [("a ", own), ("칼", str(squares)), (" b", own)]
    alone = sum(strokes.text_width(part, 20) for part in ("a ", "칼", " b"))
    assert strokes.text_width("a 칼 b", 20) == pytest.approx(alone, abs=3)


def test_letters_of_the_system_are_drawn_in_their_place(machine, squares):
    machine(squares)
    mixed, latin = inked("a칼"), inked("a")
    assert (mixed[:, :14] == latin[:, :14]).all()
    rows, columns = np.nonzero(mixed & ~latin)
    # a square of 0.7 em on the base line of the Latin letter beside it
    assert np.ptp(columns) == pytest.approx(0.7 * 20, abs=2)
    assert rows.max() == pytest.approx(np.nonzero(latin)[0].max(), abs=1)
    machine()
    assert not (inked("a칼") == mixed).all()


def test_what_can_be_drawn_depends_on_the_machine(machine, squares):
    machine(squares)
    assert faces.drawable(f"✖ {KNIFE} knife\x00")
    assert not faces.drawable("刀")
    assert faces.legible("칼刀") == "칼?"
    assert faces.picture_words("ko").language == "ko"
    machine()
    assert faces.drawable("✔ knife · …")
    assert not faces.drawable(KNIFE)
    assert faces.picture_words("ko").language == "en"  # words that can be read, in English
    assert faces.drawn_name(KNIFE, 4, catalogue("en")) == "class 5"
    assert faces.drawn_name("knife", 4, catalogue("en")) == "knife"


def test_a_real_typeface_of_this_machine_draws_hangul():
    if not faces.of_system(bold=False):
        pytest.skip("needs a typeface with Hangul: apt-get install fonts-nanum")
    one, other = inked("칼"), inked("총")
    assert one.any()
    assert (one != other).any()  # letters, not the same empty box twice


# Pictures and pages


def of_names(*names, source="a.png", **options):
    one = inspection(source, **options)
    return replace(one, detections=replace(one.detections, class_names=names))


def written(monkeypatch, draw):
    """Every text that a picture is drawn with."""
    seen = []
    plain = strokes.write

    def noted(canvas, at, text, **options):
        seen.append(text)
        plain(canvas, at, text, **options)

    monkeypatch.setattr(strokes, "write", noted)
    monkeypatch.setattr(views, "write", noted)
    draw()
    return seen


def test_views_name_what_can_be_drawn_and_number_what_cannot(monkeypatch, machine, squares):
    one = of_names(KNIFE, "총", source=f"영상/{BAG}", heatmaps=[spot(SIZE, 5, 5)] * 2)
    one = replace(
        one, outcome=Outcome((Fate(Kind.BACKGROUND),) * 2, (Missed("총", (1.0, 1.0, 9.0, 9.0)),))
    )
    machine(squares)
    said = written(monkeypatch, lambda: (views.view(one, 0), views.overview(one)))
    assert {f"✔ TRUSTED · {KNIFE} 0.90", f"Why {KNIFE}", BAG, "missed: 총"} <= set(said)
    machine()
    said = written(monkeypatch, lambda: (views.view(one, 0), views.overview(one)))
    assert {"✔ TRUSTED · class 1 0.90", "Why class 1", "missed: class 2"} <= set(said)
    assert all(faces.drawable(text) for text in said)
    assert any(re.fullmatch(r"image-[0-9a-f]{10}", text) for text in said)


def test_views_are_in_the_language_that_is_asked_for(monkeypatch, machine, squares):
    machine(squares)
    one = inspection(rows=1, heatmaps=[spot(SIZE, 15, 50)])
    korean = catalogue("ko")
    said = written(monkeypatch, lambda: views.view(one, 0, "ko"))
    wanted = ("map.detected", "picture.heat", "picture.holds_half", "picture.scale")
    assert {korean.say(name) for name in wanted} <= set(said)
    assert "✔ 신뢰 · zebra 0.90" in said
    assert any(text.startswith("상자 밖 1: ") for text in said)


def test_the_page_has_every_name_in_its_own_letters(machine, tmp_path):
    """Browsers have the letters that pictures of this machine may lack."""
    machine()  # no letters but Latin ones
    save([of_names("knife", "총", source=BAG)], tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("총", BAG):
        assert name in page
    assert "class 2" not in page
    drawn = "".join(file.read_text(encoding="utf-8") for file in tmp_path.glob("pictures/*.svg"))
    assert drawn
    assert "class 2" not in drawn


def test_plots_take_letters_from_the_system_and_warn_of_nothing(machine, squares, tmp_path):
    result = evaluation(*SEEN, class_names=(KNIFE, "총", "가위"))
    machine(squares)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each letter that it cannot draw
        plots.save_plots(result, tmp_path / "ko", "ko")
    figure = plots.confusion_figure(result, faces.picture_words("ko"))
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == [KNIFE, "총", "아무것도 없음"]
    machine()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save_plots(result, tmp_path / "none", "ko")
    figure = plots.confusion_figure(result, faces.picture_words("ko"))
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == ["class 1", "class 2", "nothing there"]


def test_maps_side_by_side_are_named_in_the_language_that_is_asked_for(machine, squares):
    machine(squares)
    detector, image = ToyDetector(), scene(("red", 2, 3))
    detector.class_names = (KNIFE, "총", "가위")
    found = compare(detector, image, [detect(detector, image).target(0)], BLACK)
    said = [text.get_text() for text in figure_of(found, "ko").findobj(Text)]
    assert f"{KNIFE}  0.98" in said
    assert "합 +20.00\n전경에 100% (우연이면 2%)" in said
    assert {"영상", "픽셀당 근거: 빨강은 지지, 파랑은 반대"} <= set(said)
    machine()
    said = [text.get_text() for text in figure_of(found, "ko").findobj(Text)]
    assert "class 1  0.98" in said
    assert "sum +20.00\n100 % on foreground (chance 2 %)" in said


def test_without_letters_of_other_scripts_the_system_is_not_asked(monkeypatch):
    def asked(**_):
        raise AssertionError

    monkeypatch.setattr(faces, "of_system", asked)
    views.view(inspection(rows=1, added=[torch.ones(SIZE)]), 0)
    assert faces.drawable("knife ✖")
