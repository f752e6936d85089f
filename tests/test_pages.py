"""Reports in a real browser: nothing fails in silence, pictures load, what can be pressed works.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Screenshots of 1440 by 900 pixels
are left in ``build/pages``.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from samples import NAMES, inspection, verdict

from xai_detect.commands.showcase import parts
from xai_detect.output.run import open_run, save
from xai_detect.values.findings import Level
from xai_detect.values.truth import Fate, Kind, Missed, Outcome

pytestmark = pytest.mark.browser
WINDOW = (1440, 900)
BUILD = Path(__file__).parents[1] / "build"
PICTURES = BUILD / "pages"
AXE = BUILD / "axe.min.js"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: make setup")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for word in (
        "headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-sync",
        "disable-background-networking", "disable-component-update", "no-first-run",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(f"--{word}")
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What the demonstration shows, on three scans of each half."""
    out = tmp_path_factory.mktemp("demo")
    for part in parts(out):
        command = [sys.executable, "-m", "xai_detect.commands.app", "inspect"]
        command += [str(source) for source in part.sources[:3]]
        command += ["--model", part.model, "--conf", str(part.confidence)]
        command += ["--out", str(out / part.name)]
        command += ["--truth", str(part.truth)] if part.truth else []
        subprocess.run(command, check=True, capture_output=True)
    return {part.name: out / part.name / "report.html" for part in parts(out)}


def at_size(browser, width, height):
    """Give the page itself this many pixels, without scaling."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def faults(browser, page):
    """What went wrong when a page was opened: lines of the console, pictures that did not load."""
    at_size(browser, *WINDOW)
    browser.get(page.as_uri())
    said = [f"{line['level']}: {line['message']}" for line in browser.get_log("browser")]
    bare = "return [...document.images].filter(i => !(i.complete && i.naturalWidth)).length"
    return said + ["a picture did not load"] * browser.execute_script(bare)


def test_faults_of_a_page_are_seen(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<img src='gone.png'><script>nothing.here()</script>")
    found = faults(browser, page)
    assert any("nothing is not defined" in one for one in found)
    assert "a picture did not load" in found


@pytest.mark.parametrize("name", ["screening", "marker"])
def test_a_report_opens_without_faults_and_fits_the_window(browser, reports, name):
    assert faults(browser, reports[name]) == []
    assert browser.execute_script("return document.images.length") >= 3
    PICTURES.mkdir(parents=True, exist_ok=True)
    shown = PICTURES / f"{name}.png"
    assert browser.save_screenshot(str(shown))
    with Image.open(shown) as picture:
        assert picture.size == WINDOW
    for width in (WINDOW[0], 390):
        at_size(browser, width, WINDOW[1])
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def visible(browser):
    """The detections that are shown; those of one image lie on one card."""
    found = browser.find_elements("css selector", "#cards [data-level]")
    return [one for one in found if one.is_displayed()]


def test_the_report_shows_one_level_at_a_time(browser, reports):
    assert faults(browser, reports["screening"]) == []
    every = len(visible(browser))
    counts = []
    for button in browser.find_elements("css selector", ".tools button"):
        browser.execute_script("arguments[0].click()", button)
        level = button.get_attribute("data-level")
        counts.append(len(visible(browser)) if level else every)
        assert not level or {card.get_attribute("data-level") for card in visible(browser)} <= {
            level
        }
    assert sum(counts) == 2 * every


@pytest.fixture(scope="module")
def korean(tmp_path_factory):
    """A Korean page with an item that has two names and another one beside it."""
    folder = tmp_path_factory.mktemp("korean") / "run"
    one = inspection("가방.png", rows=3)
    boxes = one.detections.boxes.clone()
    boxes[1] = boxes[0]
    levels = (Level.TRUSTED, Level.UNTRUSTED, Level.TRUSTED)
    names = ("칼", "가위")
    found = replace(one.detections, boxes=boxes, class_names=names)
    save([replace(one, detections=found, verdicts=tuple(map(verdict, levels)))], folder, lang="ko")
    return folder / "report.html"


def test_detections_of_one_image_are_filtered_one_by_one(browser, korean):
    assert faults(browser, korean) == []
    browser.save_screenshot(str(PICTURES / "korean.png"))
    (card,) = browser.find_elements("css selector", "article")
    status = browser.find_element("id", "shown")
    assert (len(visible(browser)), status.text) == (3, "3건 표시")
    shown = {}
    for button in browser.find_elements("css selector", ".tools button"):
        button.click()
        names = [one.get_attribute("data-class") for one in visible(browser)]
        shown[button.get_attribute("data-level")] = (names, card.is_displayed(), status.text)
    assert shown == {
        "": (["가위", "칼", "칼"], True, "3건 표시"),
        "UNTRUSTED": (["가위"], True, "1건 표시"),
        "UNCERTAIN": ([], False, "0건 표시"),
        "TRUSTED": (["칼", "칼"], True, "2건 표시"),
    }


def laid_over(browser, card=None):
    """Which detection's marks, of which map, lie over the picture of a card, as they are seen."""
    within = card or browser.find_element("css selector", "article")
    return [
        (one.get_attribute("data-of")[-1], one.get_attribute("data-map"))
        for one in within.find_elements("css selector", "img.lines")
        if one.is_displayed()
    ]


def test_what_lies_over_the_picture_can_be_chosen(browser, korean):
    assert faults(browser, korean) == []
    assert laid_over(browser) == [("1", "detected")]  # the most urgent one
    find = browser.find_element
    find("css selector", "[id$='-0'].found h3").click()
    assert laid_over(browser) == [("0", "detected")]
    find("css selector", "button.map[data-of$='-0'][data-map='class']").click()
    assert laid_over(browser) == [("0", "class")]
    find("css selector", "[id$='-2'].found h3").click()
    assert laid_over(browser) == [("2", "class")]  # the same question of another detection
    find("css selector", "button.bare").click()
    assert laid_over(browser) == []
    find("css selector", "button.bare").click()
    hot = "return [...document.querySelectorAll('img.hot')].filter(i => i.offsetWidth).length"
    assert browser.execute_script(hot) == 0
    find("css selector", "button.hotter").click()
    assert browser.execute_script(hot) == 1
    for button in browser.find_elements("css selector", "button.map"):
        pressed = button.get_attribute("aria-pressed") == "true"
        assert not button.is_displayed() or pressed == (button.get_attribute("data-map") == "class")


def test_boxes_in_the_picture_lead_to_the_words(browser, korean):
    assert faults(browser, korean) == []
    browser.find_element("css selector", "button.box[data-of$='-2']").click()
    assert laid_over(browser) == [("2", "detected")]
    (chosen,) = browser.find_elements("css selector", ".found.on")
    assert chosen.get_attribute("id").endswith("-2")


def test_marks_lie_where_the_boxes_are(browser, korean):
    """Corners of the lines and the button of the same detection have one place on the screen."""
    assert faults(browser, korean) == []
    photo, box = (
        browser.execute_script(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.x, r.y, r.width, r.height]",
            what,
        )
        for what in ("img.photo", "button.box[data-of$='-0']")
    )
    over = browser.execute_script(
        "const r = [...document.querySelectorAll('img.lines')].find(i => i.offsetWidth)"
        ".getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"
    )
    assert over == pytest.approx(photo, abs=1)
    # (2, 5) to (16, 30.5) of 60 x 40 pixels
    scale = photo[2] / 60
    expected = [photo[0] + 2 * scale, photo[1] + 5 * scale, 14 * scale, 25.5 * scale]
    assert box == pytest.approx(expected, abs=2)


def test_a_picture_can_be_seen_large(browser, korean):
    assert faults(browser, korean) == []
    keys = pytest.importorskip("selenium.webdriver").ActionChains(browser)
    width = "return document.querySelector('.photo').getBoundingClientRect().width"
    small = browser.execute_script(width)
    keys.send_keys("z").perform()
    assert browser.execute_script(width) > 1.2 * small
    keys.send_keys("\ue00c").perform()  # Escape
    assert browser.execute_script(width) == small


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """A page with every kind of outcome, a missed object, a file that failed, all levels."""
    folder = tmp_path_factory.mktemp("annotated") / "run"
    fates = (Fate(Kind.RIGHT, "zebra", 0.9), Fate(Kind.WRONG_NAME, "cow", 0.6), Fate(Kind.IGNORED))
    known = Outcome(fates, (Missed("cow", (30.0, 8.0, 50.0, 20.0)),))
    one = inspection("a.png", rows=3, asked=NAMES[1])
    one = replace(one, outcome=known, verdicts=tuple(map(verdict, Level)))
    run = save([one, inspection("b.png", rows=1, seed=1, level=Level.UNTRUSTED)], folder)
    writer = open_run(folder, run.header)
    writer.fail("c.png", "is damaged; copy it again")
    writer.finish()
    return folder / "report.html"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A page of two images, of which the second is trusted."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    bad = inspection("bad.png", rows=2, level=Level.UNTRUSTED)
    save([bad, inspection("good.png", rows=1, seed=1)], folder)
    return folder / "report.html"


def test_a_link_to_a_hidden_detection_shows_it(browser, pair):
    assert faults(browser, pair) == []
    browser.find_elements("css selector", ".tools button")[3].click()  # TRUSTED
    assert len(visible(browser)) == 1
    browser.execute_script("document.querySelector(\".worst a[href$='-1']\").click()")
    wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
    wait(browser, 5).until(lambda _: len(visible(browser)) == 3)
    (chosen,) = browser.find_elements("css selector", "article:first-child .found.on")
    assert chosen.get_attribute("id").endswith("-1")


def test_an_address_that_is_no_detection_stops_nothing(browser, pair):
    assert faults(browser, pair) == []
    at_size(browser, *WINDOW)
    for odd in ("%", "classes", "%22"):
        browser.get(f"{pair.as_uri()}#{odd}")
        browser.refresh()
        assert browser.get_log("browser") == []
        keys = pytest.importorskip("selenium.webdriver").ActionChains(browser)
        keys.send_keys("j").perform()
        assert browser.execute_script("return document.activeElement.tagName") == "ARTICLE"


def test_the_keyboard_walks_through_cards_and_takes_the_marks_off(browser, reports):
    keys = pytest.importorskip("selenium.webdriver").ActionChains(browser)
    assert faults(browser, reports["screening"]) == []
    reached = []
    for key in "jjk":
        keys.send_keys(key).perform()
        reached.append(browser.execute_script("return document.activeElement.id"))
    first, second, back = reached
    assert first == back != second
    card = browser.find_element("id", back)
    assert len(laid_over(browser, card)) == 1
    keys.key_down("b").perform()
    assert laid_over(browser, card) == []
    keys.key_up("b").perform()
    assert len(laid_over(browser, card)) == 1
    keys.send_keys("h").perform()
    heat = card.find_element("css selector", "button.hotter")
    assert heat.get_attribute("aria-pressed") == "true"


def test_many_pictures_lie_beside_the_page_and_load_when_they_are_seen(browser, tmp_path):
    """Names that need quoting in an address, and more images than fit a page."""
    ones = [inspection(f"{number} #é%.png", rows=1, seed=number) for number in range(51)]
    save(ones, tmp_path / "run")
    at_size(browser, *WINDOW)
    browser.get((tmp_path / "run" / "report.html").as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.images.length") == 51 * 5
    left = "return [...document.querySelectorAll('.photo')].filter(i => !i.naturalWidth).length"
    assert 0 < browser.execute_script(left) < 51
    last = browser.find_elements("css selector", "article")[-1]
    browser.execute_script("arguments[0].scrollIntoView()", last)
    wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
    seen = "return arguments[0].querySelector('.photo').naturalWidth"
    wait(browser, 5).until(lambda _: browser.execute_script(seen, last) == 60)
    assert browser.get_log("browser") == []


# Accessibility

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOK = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0]}).then(r => done(r.violations.map(
  v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target + " " + n.failureSummary).join(" / "))));
"""


def violations(browser):
    """What axe-core finds against WCAG A and AA, one line for each rule."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: make check-browser fetches it by npm")
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    browser.set_script_timeout(60)
    return browser.execute_async_script(LOOK, RULES)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("name", ["screening", "korean", "annotated"])
def test_everyone_can_read_a_report(browser, reports, korean, annotated, name, width, colours):
    page = {"korean": korean, "annotated": annotated}.get(name) or reports[name]
    scheme = {"name": "prefers-color-scheme", "value": colours}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    try:
        assert faults(browser, page) == []
        at_size(browser, width, WINDOW[1])
        browser.execute_script(
            "for (const d of document.querySelectorAll('details')) d.open = true"
        )
        background = "return getComputedStyle(document.body).backgroundColor"
        assert (browser.execute_script(background) == "rgb(20, 22, 26)") == (colours == "dark")
        assert violations(browser) == []
        browser.save_screenshot(str(PICTURES / f"{name}-{colours}-{width}.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_violations_are_seen(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<html><title>x</title><p style='color:#aaa;background:#fff'>faint</p><img src=''>"
    )
    browser.get(page.as_uri())
    found = {line.partition(":")[0] for line in violations(browser)}
    assert {"color-contrast", "html-has-lang", "image-alt"} <= found
