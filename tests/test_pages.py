"""Reports in a real browser: nothing fails in silence, pictures load, what can be pressed works.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Screenshots of 1440 by 900 pixels
are left in ``build/pages``.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from xai_detect.commands.showcase import parts

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
    cards = browser.find_elements("css selector", "article")
    return [card for card in cards if card.is_displayed()]


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
