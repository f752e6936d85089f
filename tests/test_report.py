"""The report stands alone, says the sentence first, and cannot be talked into running anything."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from samples import DETECTOR, NAMES, NUMBERS, SENTENCE, SETTINGS, inspection, spot, verdict

from xai_detect.output.folder.header import Header
from xai_detect.output.folder.judged import Making
from xai_detect.output.folder.load import load_run
from xai_detect.output.report import page as report
from xai_detect.output.report import pictures
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


EMBEDDED = ("data:image/webp;base64,", "data:image/svg+xml;base64,")


def test_it_needs_nothing_but_itself(html, page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "data-original"):
            value = attributes.get(name) or ""
            fine = EMBEDDED if tag == "img" else ("#",)
            assert value.startswith(fine) or not value, value[:80]
    assert not re.search(r"url\(|@import|https?://", html)
    assert not page.of("link")
    assert not page.of("iframe")
    (policy,) = [one["content"] for one in page.of("meta") if "http-equiv" in one]
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy


def test_names_from_strangers_are_text(html, page):
    assert len(page.of("script")) == 1
    assert len(page.of("img")) == len(re.findall(r'<img (class="[a-z ]+" )?src="data:', html))
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
    assert "<img src=x onerror=alert(1)>.jpg" in page.text
    assert "<b>giraffe</b>" in page.text
    assert "<b>giraffe</b>" not in html


def found_in(page):
    """The detections of a page, in its order."""
    return [one for one in page.of("section") if one.get("class", "").startswith("found")]


def test_what_is_most_urgent_comes_first(page):
    assert [one["data-level"] for one in found_in(page)] == [
        "UNTRUSTED", "UNCERTAIN", "TRUSTED", "TRUSTED"
    ]  # fmt: skip
    files = [one["data-file"] for one in page.of("article")]
    assert files == ["<img src=x onerror=alert(1)>.jpg", "c.jpg", "a.jpg", "empty.jpg"]
    assert [one["data-place"] for one in page.of("article")] == ["0", "1", "2", "3"]


def test_the_worst_detections_are_named_above_all_cards(html):
    worst = html[html.index("Look at these first") : html.index("<article")]
    said = Page(worst).text
    assert said.index("zebra 0.90") < said.index("c.jpg")
    assert "a.jpg" not in said  # its detections are TRUSTED


def test_the_probabilities_are_counted_in_ten_bars(page):
    bars = [one["title"] for one in page.of("li") if "title" in one]
    assert len(bars) == 10
    assert [bar for bar in bars if not bar.endswith(": 0")] == ["0.8-0.9: 4"]


def card_of(html, level):
    card = html[html.index(f'<section class="found {level}"') :]
    return card[: card.index("</section>")]


def test_the_sentence_comes_first_and_the_numbers_are_folded_under_it(html):
    card = card_of(html, "UNTRUSTED")
    places = [
        card.index(said)
        for said in (
            "UNTRUSTED: <span>zebra 0.90", SENTENCE, "<details>", NUMBERS,
            "0.87 (400 photographs)", "What decides", "Looked at by the presence test",
            "Why detected", "Further away", "What was measured", "</details>",
        )
    ]  # fmt: skip
    assert places == sorted(places)


def test_the_picture_stands_beside_the_words(html):
    card = html[html.index("<article") : html.index("</article>")]
    places = [card.index(said) for said in ('class="photo"', 'class="over lines"', SENTENCE)]
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
    shown = [one for one in page.of("img") if one["class"] != "over hot"]
    assert len(shown) == 3 + 2 + 1 + 1  # images; two maps of the first, and the others bare
    assert all(one["alt"] for one in shown)
    assert sum("No map is shown." in one["alt"] for one in shown) == 2
    assert sum("Why something is detected" in one["alt"] for one in shown) == 2
    heat = [one for one in page.of("img") if one["class"] == "over hot"]
    assert [one["data-map"] for one in heat] == ["detected", "class"]
    assert {one["alt"] for one in heat} == {""}  # the lines over it have the words
    for said in ("Maps reliable", "Maps map: unreliable", "Maps no map at this budget"):
        assert page.text.count(said) == 1, said
    assert page.text.count("map: unreliable") == 2  # beside the sentence as well


def test_one_map_of_one_detection_lies_over_a_picture_at_first(html):
    for card in html.split("<article")[1:4]:
        over = [one for one in Page("<article" + card).of("img") if "over" in one["class"]]
        seen = [one for one in over if "hidden" not in one]
        assert len({(one["data-of"], one["data-map"]) for one in seen}) == 1
        assert len(over) > len(seen) or "c.jpg" in card


def test_boxes_are_where_the_detections_are(page):
    first = next(one for one in page.of("button") if one.get("class") == "box")
    # (2, 5) to (16, 30.5) of 60 x 40 pixels
    assert first["style"] == "left:3.33%;top:12.50%;width:23.33%;height:63.75%"


def test_cards_say_what_the_filters_ask(page):
    assert {one["data-outside"] for one in found_in(page)} == {"yes"}
    asked = [one.get("value") for one in page.of("option")]
    assert asked.count("") == 2  # any class, any evidence
    assert [one["id"] for one in page.of("select")] == ["class", "outside", "order"]
    assert {"yes", "no", "unmeasured"} <= set(asked)
    assert {one["data-class"] for one in found_in(page)} == {"zebra", "<b>giraffe</b>"}


def crowded(boxes, scores=(0.9, 0.6, 0.3), **options):
    """An image whose detections have these left edges; the same edge is the same item."""
    one = inspection("bag.jpg", rows=3, **options)
    found = one.detections.boxes.clone()
    for row, left in enumerate(boxes):
        found[row, [0, 2]] = torch.tensor([left, left + 14.0])
    detections = replace(one.detections, boxes=found, scores=torch.tensor(scores))
    return replace(one, detections=detections)


def test_all_detections_of_an_image_are_one_card_and_items_are_told_together(tmp_path):
    one = crowded((2.0, 2.0, 30.0))
    levels = (Level.TRUSTED, Level.UNTRUSTED, Level.UNCERTAIN)
    one = replace(one, verdicts=tuple(map(verdict, levels)))
    save([one, inspection("other.jpg", seed=1)], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    page = Page(html)
    assert [card["data-file"] for card in page.of("article")] == ["bag.jpg", "other.jpg"]
    card = html[html.index("<article") : html.index("</article>")]
    parts = found_in(Page(card))
    assert [one["data-level"] for one in parts] == ["UNTRUSTED", "UNCERTAIN", "TRUSTED"]
    assert [one["data-class"] for one in parts] == ["<b>giraffe</b>", "zebra", "zebra"]
    assert "One item, name unclear: zebra 0.90 or <b>giraffe</b> 0.60." in Page(card).text
    assert page.text.count("One item") == 1
    links = [one.get("href") for one in page.of("a")]
    assert [f"#{part['id']}" in links for part in parts] == [True, True, False]  # the worst
    identifiers = [one["id"] for _, one in page.tags if "id" in one]
    assert len(identifiers) == len(set(identifiers))


def test_an_item_that_is_named_alike_twice_is_told_as_well(tmp_path):
    save([crowded((2.0, 30.0, 2.0))], tmp_path / "run")
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "One item, reported more than once: zebra 0.90, zebra 0.30." in page.text
    assert len(page.of("article")) == 1


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


def test_lost_pictures_do_not_stop_the_report(tmp_path):
    run = save([inspection(rows=1), inspection("other.jpg", rows=1, seed=1)], tmp_path / "run")
    name = run.records[0].name
    for lost in (f"{name}.webp", f"{name}.0.detected.svg", f"{name}.0.detected.webp"):
        (run.folder / "pictures" / lost).unlink()
    report.write_report(run)
    page = Page((run.folder / "report.html").read_text())
    assert page.text.count("The picture of this image is no longer in the run folder.") == 1
    assert len(found_in(page)) == 2
    assert len(page.of("img")) == 3 + 2 - 1 + 2 - 1 + 2  # with one map's lines and heat less
    assert all(one["src"] for one in page.of("img"))


# Pictures inside the page and beside it


def many(folder, monkeypatch, inside):
    """Three images; so many of them would fit the page."""
    monkeypatch.setattr(pictures, "INSIDE", inside)
    ones = [inspection(f"{number} é'.jpg", rows=1, seed=number) for number in range(3)]
    return save(ones, folder), Page((folder / "report.html").read_text())


def test_few_pictures_are_inside_the_page_and_many_beside_it(tmp_path, monkeypatch):
    assert pictures.INSIDE == 50
    _, page = many(tmp_path / "few", monkeypatch, 3)
    assert all(one["src"].startswith(EMBEDDED) for one in page.of("img"))
    assert not [one for one in page.of("img") if "loading" in one]
    _, page = many(tmp_path / "many", monkeypatch, 2)
    addresses = [one["src"] for one in page.of("img")]
    assert len(addresses) == 3 * (1 + 2 * 2)
    for address in addresses:
        assert (tmp_path / "many" / unquote(address)).is_file()
        assert not re.search(r"[^A-Za-z0-9_./-]", address)
    assert {one["loading"] for one in page.of("img")} == {"lazy"}


def test_addresses_of_pictures_are_quoted(tmp_path, monkeypatch):
    """Names of files are the record's own, which may come from a stranger."""
    run, _ = many(tmp_path / "run", monkeypatch, 2)
    name, odd = run.records[0].name, 'a b"?#%41'
    for file in [*run.folder.glob(f"*/{name}.*")]:
        file.rename(file.with_name(file.name.replace(name, odd)))
    report.write_report(load_run(run.folder))
    page = Page((run.folder / "report.html").read_text())
    quoted = [one["src"] for one in page.of("img") if "a%20b%22%3F%23%2541" in one["src"]]
    assert len(quoted) == 1 + 2 * 2
    assert all((run.folder / unquote(address)).is_file() for address in quoted)


def test_a_picture_outside_the_folder_is_not_shown(tmp_path, monkeypatch):
    for place, inside in (("few", 3), ("many", 2)):
        run, _ = many(tmp_path / place, monkeypatch, inside)
        picture = run.folder / "pictures" / f"{run.records[0].name}.webp"
        secret = picture.rename(tmp_path / f"{place}.webp")
        picture.symlink_to(secret)
        report.write_report(run)
        page = Page((run.folder / "report.html").read_text())
        assert page.text.count("The picture of this image is no longer in the run folder.") == 1


def test_the_untouched_file_is_named_where_it_is_on_this_machine_and_nowhere_else(tmp_path):
    sources = [str(tmp_path / "a b.jpg"), "relative.jpg", "//elsewhere/shared/x.jpg", "array"]
    save([inspection(source, rows=1) for source in sources], tmp_path / "run")
    page = Page((tmp_path / "run" / "report.html").read_text())
    named = {one["data-original"] for one in page.of("img") if one["class"] == "photo"}
    assert named == {"", (tmp_path / "a b.jpg").as_uri()}


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
    lost, kept = (f"pictures/{record.name}.webp" for record in run.records)
    (run.folder / lost).write_bytes(b"no picture")
    (common,) = common_places(run)
    assert [place.record.source for place, _ in common.pictures] == ["1.png"]
    assert common.places == 2
    (run.folder / kept).unlink()
    assert list(common_places(run)) == []
