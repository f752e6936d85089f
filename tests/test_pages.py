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
from samples import inspection, verdict

from xai_detect.commands.showcase import parts
from xai_detect.output.run import save
from xai_detect.values.findings import Level

pytestmark = pytest.mark.browser
WINDOW = (1440, 900)
PICTURES = Path(__file__).parents[1] / "build" / "pages"


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
    """The detections that are shown; those of one item lie on one card."""
    found = browser.find_elements("css selector", "#cards [data-level]")
    return [one for one in found if one.is_displayed()]


def test_the_report_shows_one_level_at_a_time(browser, reports):
    assert faults(browser, reports["screening"]) == []
    every = len(visible(browser))
    counts = []
    for button in browser.find_elements("css selector", ".tools button"):
        button.click()
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


def test_detections_of_one_item_are_filtered_one_by_one(browser, korean):
    assert faults(browser, korean) == []
    browser.save_screenshot(str(PICTURES / "korean.png"))
    cards = browser.find_elements("css selector", "article")
    status = browser.find_element("id", "shown")
    assert (len(cards), len(visible(browser)), status.text) == (2, 3, "3건 표시")
    shown = {}
    for button in browser.find_elements("css selector", ".tools button"):
        button.click()
        names = [one.get_attribute("data-class") for one in visible(browser)]
        shown[button.get_attribute("data-level")] = (
            names, sum(card.is_displayed() for card in cards), status.text
        )  # fmt: skip
    assert shown == {
        "": (["가위", "칼", "칼"], 2, "3건 표시"),
        "UNTRUSTED": (["가위"], 1, "1건 표시"),
        "UNCERTAIN": ([], 0, "0건 표시"),
        "TRUSTED": (["칼", "칼"], 2, "2건 표시"),
    }


def test_a_link_to_a_hidden_detection_shows_it(browser, korean):
    assert faults(browser, korean) == []
    browser.find_elements("css selector", ".tools button")[2].click()  # UNCERTAIN: none
    assert visible(browser) == []
    browser.execute_script("document.querySelector(\".gallery a[href$='-1']\").click()")
    wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
    wait(browser, 5).until(lambda _: len(visible(browser)) == 3)


def test_the_keyboard_walks_through_cards_and_takes_the_marks_off(browser, reports):
    keys = pytest.importorskip("selenium.webdriver").ActionChains(browser)
    assert faults(browser, reports["screening"]) == []
    reached = []
    for key in "jjk":
        keys.send_keys(key).perform()
        reached.append(browser.execute_script("return document.activeElement.id"))
    first, second, back = reached
    assert first == back != second
    clean = "return document.querySelectorAll('#clean.on img').length"
    keys.key_down("b").perform()
    assert browser.execute_script(clean) == 1
    keys.key_up("b").perform()
    assert browser.execute_script(clean) == 0
