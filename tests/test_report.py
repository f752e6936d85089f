"""The report stands alone, says the sentence first, and cannot be talked into running anything."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from samples import DETECTOR, NAMES, SETTINGS, inspection, spot

from xai_detect.output.folder.header import Header
from xai_detect.output.folder.pixels import encode_png
from xai_detect.output.report import page as report
from xai_detect.output.report.pictures import Album
from xai_detect.output.report.wording import evidence_lines, method_words, worded
from xai_detect.output.run import open_run, save
from xai_detect.values.findings import Evidence, Level

HEADER = Header(DETECTOR, NAMES, "integrated_gradients", SETTINGS, confidence=0.25)
BAD = "zoo/<img src=x onerror=alert(1)>.jpg"


class Page(HTMLParser):
    """Tags, text and what an outsider might abuse."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def of(self, tag):
        return [attributes for one, attributes in self.tags if one == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    writer = open_run(folder, HEADER, "xai-detect inspect 'zoo'")
    writer.add(inspection("zoo/a.jpg", level=Level.TRUSTED))
    writer.add(inspection(BAD, rows=1, level=Level.UNTRUSTED, seed=1))
    writer.add(
        inspection("zoo/c.jpg", rows=1, level=Level.UNCERTAIN, check="map_repeatability", seed=2)
    )
    writer.add(inspection("zoo/empty.jpg", rows=0))
    writer.fail("zoo/</td><script>alert(2)</script>", "is damaged; copy it again")
    writer.finish()
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_it_needs_nothing_but_itself(html, page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name) or ""
            fine = ("#", "views/") if tag == "a" else ("#", "data:image/webp;base64,")
            assert value.startswith(fine) or not value, value[:80]
    assert not re.search(r"url\(|@import|https?://", html)
    assert not page.of("link")
    assert not page.of("iframe")


def test_names_from_strangers_are_text(html, page):
    assert len(page.of("script")) == 1
    assert len(page.of("img")) == len(re.findall(r'<img src="data:', html))
    assert "<img src=x onerror=alert(1)>.jpg" in page.text
    assert "<b>giraffe</b>" in page.text
    assert "<b>giraffe</b>" not in html


def test_what_relies_on_surroundings_comes_first(page):
    levels = [one["data-level"] for one in page.of("article")]
    assert levels == ["UNTRUSTED", "UNCERTAIN", "TRUSTED", "TRUSTED"]


def test_the_sentence_stands_before_the_picture(html):
    card = html[html.index("<article") :]
    card = card[: card.index("</article>")]
    sentence, picture, table = (
        card.index(one) for one in ("74 % of the evidence lies in the box.", "<img", "<table")
    )
    assert card.index("Relies on surroundings") < sentence < picture < table


def test_every_picture_has_words_and_the_failed_map_is_said(page):
    pictures = page.of("img")
    assert len(pictures) == 4 + 4  # detections, and untouched images
    assert all(one["alt"] for one in pictures)
    assert any("No map is shown." in one["alt"] for one in pictures)


def test_it_says_what_was_run_and_what_failed(page):
    for words in (
        "4 images, 4 detections by toy.pt",
        "1 file could not be inspected",
        "zoo/</td><script>alert(2)</script>",
        "is damaged; copy it again",
        "ab" * 32,
        "integrated_gradients",
        "steps 8",
        "xai-detect inspect 'zoo'",
        "nothing found",
        "does not mean",
    ):
        assert words in page.text, words


def test_numbers_carry_their_chance_level(page):
    assert "Evidence in the box 74 % 6 %" in page.text
    assert "Evidence in the ring just around the box not measured" in page.text


def test_identifiers_are_unique_and_links_lead_somewhere(page):
    identifiers = [one["id"] for _, one in page.tags if "id" in one]
    assert len(identifiers) == len(set(identifiers))
    for one in page.of("a"):
        if one["href"].startswith("#"):
            assert one["href"][1:] in identifiers


def test_an_unfinished_run_says_so(tmp_path):
    writer = open_run(tmp_path / "run", HEADER)
    writer.add(inspection())
    writer.finish("interrupted")
    assert "not complete (interrupted)" in (tmp_path / "run" / "report.html").read_text()


def test_a_question_about_another_class_is_told_apart(tmp_path):
    save([inspection(asked=NAMES[1])], tmp_path / "run")
    words = Page((tmp_path / "run" / "report.html").read_text()).text
    assert "zebra 0.90, asked about <b>giraffe</b>" in words


def test_a_lost_view_is_linked_and_does_not_stop_the_report(tmp_path):
    run = save([inspection(rows=1)], tmp_path / "run")
    view = next((tmp_path / "run" / "views").glob("*.0.png"))
    view.write_bytes(b"gone")
    report.write_report(run)
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert f"views/{view.name}" in [one.get("href") for one in page.of("a")]


# Pictures


def noise(side, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (side, 2 * side, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 20, 200])
def test_an_album_never_takes_more_than_its_space(tmp_path, count):
    (tmp_path / "noise.png").write_bytes(encode_png(noise(300)))
    album = Album(1_000_000, count)
    pictures = [album.embed(tmp_path / "noise.png") for _ in range(count)]
    assert sum(len(one.uri) for one in pictures if one) <= 1_000_000
    assert pictures[0] is not None


def test_many_pictures_are_smaller_than_few(tmp_path):
    (tmp_path / "noise.png").write_bytes(encode_png(noise(400)))
    few, many = (Album(3_000_000, count).embed(tmp_path / "noise.png") for count in (2, 100))
    assert few.width > many.width


def test_every_view_of_170_photographs_fits_the_report(tmp_path, coco_images):
    """Six detections in each of 170 images, stood in for by the views of three."""
    from xai_detect.values.images import load_image

    ones = []
    for path in coco_images[:3]:
        image = load_image(path)
        size = (image.shape[1], image.shape[2])
        maps = [spot(size, 20, 20, side=60), spot(size, 90, 120, side=40)]
        ones.append(inspection(str(path), size=size, image=image, heatmaps=maps))
    run = save(ones, tmp_path / "run")
    views = sorted((tmp_path / "run" / "views").glob("*.[01].png"))
    album = Album(report.CARD_BYTES // 10, 17 * 6)
    pictures = [album.embed(views[place % len(views)]) for place in range(17 * 6)]
    assert all(pictures)
    assert report.CARD_BYTES + report.GALLERY_BYTES < 40_000_000
    assert (run.folder / "report.html").stat().st_size < 3_000_000


# Words


def test_numbers_in_words_by_hand():
    assert worded(0.744, "share") == "74 %"
    assert worded(12.34, "times") == "12.3 times"
    assert worded(33.0, "count") == "33"
    assert worded(0.8749, "number") == "0.87"
    assert worded(0.00012, "number") == "under 0.01"
    assert worded(math.nan, "share") == "not measured"
    assert worded(math.inf, "times") == "infinite"


def test_known_and_unknown_evidence_is_listed_once():
    lines = list(
        evidence_lines(
            Evidence(
                {"inside": 0.5, "chance_inside": 0.1, "rival": 0.2, "rival_label": 3.0, "new": 1.0},
                {"rival_name": "horse"},
            )
        )
    )
    assert [line.name for line in lines] == [
        "Evidence in the box",
        "Confidence of the runner-up in the same box (horse)",
        "new",
    ]
    assert lines[0].chance == "10 %"


def test_what_a_method_measured_is_one_phrase():
    assert (
        method_words({"seconds": 2.0, "forward_passes": 33.0}) == "forward passes 33, seconds 2.00"
    )
    assert method_words({}) == ""


def test_every_kind_of_evidence_has_words():
    """Whatever ``weigh`` measures is named for people, or deliberately left to another row."""
    from xai_detect.output.report import wording
    from xai_detect.trust import evidence

    listed = re.findall(r"^([a-z_]+(?:, [a-z_]+)*) {2,}", evidence.__doc__, re.MULTILINE)
    names = {name for row in listed for name in row.split(", ")}
    assert "inside" in names
    assert names <= wording._NAMES.keys() | wording._SILENT


def test_settings_of_any_depth_are_listed(tmp_path):
    header = Header(
        DETECTOR,
        NAMES,
        "m",
        {"a": None, "b": [1, 2]},
        limits={"near": 0.5},
        options={"merge": {"depth": 3}, "iou": 0.7},
    )
    writer = open_run(tmp_path / "run", header)
    writer.finish()
    words = Page((tmp_path / "run" / "report.html").read_text()).text
    assert "a None, b [1, 2]" in words
    assert "Limits of the policy near 0.5" in words
    assert "merge (depth 3), iou 0.7" in words
    assert json.loads((tmp_path / "run" / "run.json").read_text())["options"]["iou"] == 0.7
    assert torch.__version__ in words
