"""The report stands alone, says the sentence first, and cannot be talked into running anything."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from samples import DETECTOR, NAMES, NUMBERS, SENTENCE, SETTINGS, inspection, spot, verdict

from xai_detect.output.folder.header import Header
from xai_detect.output.folder.judged import Making
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.pixels import encode_png
from xai_detect.output.report import page as report
from xai_detect.output.report.pictures import Album
from xai_detect.output.report.regions import by_likeness, common_places
from xai_detect.output.report.wording import (
    evidence_lines,
    judged_lines,
    making_words,
    share_lines,
    worded,
)
from xai_detect.output.run import open_run, save
from xai_detect.trust.evidence import NAMES as NUMBERS_OF_EVIDENCE
from xai_detect.values.findings import Evidence, Level

HEADER = Header(
    DETECTOR, NAMES, "d_rise", SETTINGS, confidence=0.25, budget="standard", references=("x.jpg",)
)
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
    maps = [spot((40, 60), 3, 4)] * 2
    usual = {"budget": "standard", "added": maps[:1], "rows": 1}
    writer.add(inspection("zoo/a.jpg", level=Level.TRUSTED, **{**usual, "added": maps, "rows": 2}))
    writer.add(inspection(BAD, level=Level.UNTRUSTED, seed=1, **usual))
    writer.add(inspection("zoo/c.jpg", level=Level.UNCERTAIN, seed=2, map="unreliable", **usual))
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


def test_what_is_most_urgent_comes_first(page):
    levels = [one["data-level"] for one in page.of("article")]
    assert levels == ["UNTRUSTED", "UNCERTAIN", "TRUSTED", "TRUSTED"]


def card_of(html, level):
    card = html[html.index(f'<article class="{level}"') :]
    return card[: card.index("</article>")]


def test_the_sentence_comes_first_then_numbers_probability_reason_and_shares(html):
    card = card_of(html, "UNTRUSTED")
    places = [
        card.index(said)
        for said in (
            "UNTRUSTED: <span>zebra 0.90", SENTENCE, NUMBERS, "0.87 (400 photographs)",
            "What decides", "<img", "Why detected", "Further away",
            "Looked at by the presence test", "The numbers",
        )
    ]  # fmt: skip
    assert places == sorted(places)


def test_a_card_says_what_decides_and_where(html):
    words = Page(card_of(html, "UNTRUSTED")).text
    assert (
        "What decides its surroundings (that it is reported: its surroundings; "
        "its class: not measured; in other images: not measured)" in words
    )
    assert "presence test from (41, 20) to (55, 36); decides" in words
    assert "maps outside from (40, 2) to (50, 8) " in words
    assert "Evidence outside yes" in words
    assert "decides" not in Page(card_of(html, "TRUSTED")).text.partition("Where the")[2]


def test_a_verdict_has_one_name_everywhere(html, page):
    assert not re.search(r"[Ss]upported|[Rr]elies on surroundings", page.text)
    for level, count in (("UNTRUSTED", 1), ("UNCERTAIN", 1), ("TRUSTED", 2)):
        assert f"{level} {count}" in page.text
        assert html.count(f"</svg>{level}: <span>") == count


def test_every_picture_has_words_and_a_map_that_is_not_shown_is_said(tmp_path):
    pair = [inspection("a.jpg", rows=1), inspection("b.jpg", rows=1, seed=1, map="unreliable")]
    none = inspection("c.jpg", rows=1, seed=2, heatmaps=[None], contrasts=[None], map="none")
    save([*pair, none], tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    pictures = page.of("img")
    assert len(pictures) == 3 + 3  # detections, and untouched images
    assert all(one["alt"] for one in pictures)
    assert sum("No map is shown." in one["alt"] for one in pictures) == 2
    assert sum("Why something is detected" in one["alt"] for one in pictures) == 1
    for said in ("Maps reliable", "Maps map: unreliable", "Maps no map at this budget"):
        assert page.text.count(said) == 1, said


def test_cards_say_what_the_filter_for_evidence_outside_asks(page):
    assert {one["data-outside"] for one in page.of("article")} == {"yes"}
    asked = [one.get("value") for one in page.of("option")]
    assert asked.count("") == 2  # any class, any evidence
    assert page.of("select")[2] == {"id": "outside"}
    assert {"yes", "no", "unmeasured"} <= set(asked)


def crowded(boxes, scores=(0.9, 0.6, 0.3), **options):
    """An image whose detections have these left edges; the same edge is the same item."""
    one = inspection("bag.jpg", rows=3, **options)
    found = one.detections.boxes.clone()
    for row, left in enumerate(boxes):
        found[row, [0, 2]] = torch.tensor([left, left + 14.0])
    detections = replace(one.detections, boxes=found, scores=torch.tensor(scores))
    return replace(one, detections=detections)


def test_detections_of_one_item_are_one_card(tmp_path):
    one = crowded((2.0, 2.0, 30.0))
    levels = (Level.TRUSTED, Level.UNTRUSTED, Level.UNCERTAIN)
    one = replace(one, verdicts=tuple(map(verdict, levels)))
    save([one], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    page = Page(html)
    item, single = page.of("article")
    assert (item["class"], single["class"]) == ("UNTRUSTED", "UNCERTAIN")
    assert "data-level" not in item
    parts = [one for one in page.of("section") if one.get("class", "").startswith("found")]
    assert [one["data-level"] for one in parts] == ["UNTRUSTED", "TRUSTED"]  # urgent first
    assert [one["data-class"] for one in parts] == ["<b>giraffe</b>", "zebra"]
    card = html[html.index("<article") : html.index("</article>")]
    assert "One item, name unclear: zebra 0.90 or <b>giraffe</b> 0.60." in Page(card).text
    assert page.text.count("One item") == 1
    assert len(re.findall(r'<img src="data:image/webp', card)) == 2
    for part in parts:  # links from the gallery lead to the part
        assert f"#{part['id']}" in [one.get("href") for one in page.of("a")]
    identifiers = [one["id"] for _, one in page.tags if "id" in one]
    assert len(identifiers) == len(set(identifiers))


def test_an_item_that_is_named_alike_twice_is_one_card_as_well(tmp_path):
    save([crowded((2.0, 30.0, 2.0))], tmp_path / "run")
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "One item, reported more than once: zebra 0.90, zebra 0.30." in page.text
    assert len(page.of("article")) == 2


def test_items_of_different_images_stay_apart(tmp_path):
    pair = [crowded((2.0, 2.0, 30.0)), inspection("other.jpg", seed=1)]
    save(pair, tmp_path / "run")
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert len(page.of("article")) == 4
    assert [int(one["data-place"]) for one in page.of("article")] == sorted(
        int(one["data-place"]) for one in page.of("article")
    )


def test_it_says_what_was_run_and_what_failed(page):
    for words in (
        "4 images, 4 detections by toy.pt",
        "1 file could not be inspected",
        "zoo/</td><script>alert(2)</script>",
        "is damaged; copy it again",
        "ab" * 32,
        "Map added by d_rise",
        "steps 8",
        "Budget standard",
        "References x.jpg",
        "xai-detect inspect 'zoo'",
        "nothing found",
        "does not mean",
    ):
        assert words in page.text, words


def test_both_maps_have_their_shares(page):
    assert "In the box 74 % 50 %" in page.text
    assert "In the ring just around it not measured not measured" in page.text
    assert "Further away 6 % 25 %" in page.text


def test_identifiers_are_unique_and_links_lead_somewhere(page):
    identifiers = [one["id"] for _, one in page.tags if "id" in one]
    assert len(identifiers) == len(set(identifiers))
    for one in page.of("a"):
        if one["href"].startswith("#"):
            assert one["href"][1:] in identifiers


def test_an_unfinished_run_says_so(tmp_path):
    writer = open_run(tmp_path / "run", HEADER)
    writer.add(inspection(added=[torch.ones(40, 60)] * 2, budget="standard"))
    writer.finish("interrupted")
    assert "not complete (interrupted)" in (tmp_path / "run" / "report.html").read_text()


def test_a_question_about_another_class_is_told_apart(tmp_path):
    save([inspection(asked=NAMES[1])], tmp_path / "run", lang="de")
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "Asked about <b>giraffe</b>: The image shows no <b>giraffe</b> here." in page.text
    said = [one["lang"] for one in page.of("p") + page.of("span") if "lang" in one]
    assert said == ["de"] * 6  # sentence, numbers and answer of two detections


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
        ones.append(inspection(str(path), size=size, image=image, heatmaps=maps, contrasts=maps))
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
    values = {
        "presence_hidden": 0.5, "presence_placebo": 0.9, "margin": 2.0, "class_box": 0.7, "new": 1.0
    }  # fmt: skip
    lines = list(evidence_lines(Evidence(values, {"rival": "horse"})))
    assert [tuple(line) for line in lines] == [
        ("Lead over the runner-up, in log-odds (horse)", "2.00", ""),
        ("Score kept without the place that decides", "50 %", "90 %"),
        ("new", "1.00", ""),
    ]


def test_a_probability_that_was_fitted_on_nothing_known_says_so():
    known = verdict(Level.TRUSTED)
    said = dict(judged_lines(known, Evidence({"probability": 0.5})))
    name = "Probability that it is right"
    assert said[name] == "0.50 (not calibrated for this detector)"
    assert dict(judged_lines(known, Evidence({}, {"fitted": "x"})))[name] == "not measured (x)"
    shipped = Evidence(
        {"probability": 0.5, "share_right": 0.25}, {"fitted": "shipped", "data": "x"}
    )
    told = "0.50 (not calibrated for this detector; fitted on x, 25 % of its detections right)"
    assert dict(judged_lines(known, shipped))[name] == told
    bare = Evidence({"probability": 0.5}, {"fitted": "shipped"})
    assert dict(judged_lines(known, bare))[name] == "0.50 (not calibrated for this detector)"


def test_how_a_map_was_made_is_one_phrase():
    made = Making("sighted", {}, {"seconds": 2.0, "forward_passes": 33.0}, None)
    assert making_words(made) == "sighted, forward passes 33, seconds 2.00"
    assert making_words(Making("sighted", {}, {}, None)) == "sighted"


def test_every_kind_of_evidence_has_words():
    """Whatever is measured is named for people, once: as a number, a share or a word."""
    everything = Evidence(dict.fromkeys(NUMBERS_OF_EVIDENCE, 1.0))
    raw = {name.replace("_", " ") for name in NUMBERS_OF_EVIDENCE}
    names = [line.name for line in evidence_lines(everything)]
    assert not raw & set(names)
    shares = [line for line in share_lines(everything) if "not measured" not in line]
    chances = [line for line in evidence_lines(everything) if line.chance]
    counted = len(names) + 2 * len(shares) + len(chances) + len(["evidence_outside"])
    assert counted == len(NUMBERS_OF_EVIDENCE)


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


# What decides a class, over the run


def test_the_commonest_look_comes_first_by_hand():
    """The distances of 1 to the others, 1 + 8 + 1, are the least; then 0 and 2, then 9."""
    looks = [np.full((1, 1), value) for value in (0.0, 9.0, 1.0, 2.0)]
    assert by_likeness(looks) == [2, 0, 3, 1]
    assert by_likeness(looks[:1]) == [0]


def decided_by(colours, tmp_path, level=Level.UNTRUSTED):
    """Images whose place at (41, 20)-(55, 36) has a colour each."""
    writer, even = open_run(tmp_path / "run", HEADER, ""), [torch.ones(40, 60)]
    for number, colour in enumerate(colours):
        image = torch.full((3, 40, 60), 0.5)
        image[:, 20:36, 41:55] = torch.tensor(colour)[:, None, None]
        writer.add(inspection(f"{number}.png", rows=1, level=level, image=image, added=even))
    writer.finish()
    return load_run(tmp_path / "run")


def test_each_class_has_pictures_of_what_decides_it_the_commonest_first(tmp_path):
    red, blue = (0.8, 0.0, 0.0), (0.0, 0.0, 0.8)
    run = decided_by([blue, red, red, red, (0.7, 0.0, 0.0), blue], tmp_path)
    (common,) = common_places(run)
    assert (common.name, common.places, common.detections) == ("zebra", 6, 6)
    assert [place.record.source for place, _ in common.pictures] == [
        "1.png", "2.png", "3.png", "4.png"
    ]  # fmt: skip
    for _, picture in common.pictures:
        assert max(picture.shape) == 240
        middle = picture[picture.shape[0] // 2 - 20, picture.shape[1] // 2]
        assert middle[0] > 150 > middle[2]
        assert (picture == [255, 0, 255]).all(axis=2).any()  # the frame
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert "What decides zebra from outside: 6 places, for 6 detections" in page.text
    assert len([image for image in page.of("img") if "that decides zebra" in image["alt"]]) == 4


def test_where_the_object_decides_there_are_no_pictures_of_places(tmp_path):
    assert list(common_places(decided_by([(1.0, 0.0, 0.0)], tmp_path, Level.TRUSTED))) == []
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "from outside:" not in page


def test_a_lost_picture_shows_no_place_and_stops_nothing(tmp_path):
    run = decided_by([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], tmp_path)
    lost, kept = (f"views/{record.name}.clean.png" for record in run.records)
    (run.folder / lost).write_bytes(b"no picture")
    (common,) = common_places(run)
    assert [place.record.source for place, _ in common.pictures] == ["1.png"]
    assert common.places == 2
    (run.folder / kept).unlink()
    assert list(common_places(run)) == []
