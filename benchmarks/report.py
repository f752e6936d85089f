"""How large a run folder is, and how long its page takes to open, for 1, 60 and 1,000 images.

    python -m benchmarks.report

Inspects a few scans of the sample that ships, copies them until there are enough, writes the page
and opens it in headless Chromium (Debian: chromium, chromium-driver): until it can be used (end of
``DOMContentLoaded``), and until all that is in sight has loaded. Writes
``benchmarks/results/report.md`` and ``.json``.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from xai_detect.detectors.load import load_detector
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.header import Header
from xai_detect.output.folder.load import load_run
from xai_detect.output.report.page import NAME, write_report
from xai_detect.output.run import open_run
from xai_detect.values.files import file_sha256

RESULTS = Path(__file__).parent / "results"
SAMPLE = Path(__file__).parents[1] / "datasets" / "screening_sample" / "images"
TIMES = """
const t = performance.getEntriesByType("navigation")[0];
return [t.domContentLoadedEventEnd, t.loadEventEnd];
"""


def first_run(folder: Path, scans: int) -> int:
    """Inspect some scans into a run folder; gives how many detections there are."""
    every = sorted(SAMPLE.rglob("*.jpg"))
    files = every[:: len(every) // scans][:scans]
    detector = load_detector("screening")
    found = [inspect(detector, file, budget="standard") for file in files]
    header = Header(detector.provenance, detector.class_names, "", {}, 0.25, budget="standard")
    writer = open_run(folder, header)
    for one, file in zip(found, files, strict=True):
        writer.add(one, file_sha256=file_sha256(file))
    writer.finish()
    return sum(len(one.detections) for one in found)


def copied(run: Path, folder: Path, count: int) -> None:
    """A run of so many images: those of another, again and again under other names."""
    names = sorted(file.stem for file in (run / "records").glob("*.json"))
    for number in range(count):
        name = names[number % len(names)]
        for file in run.glob(f"*/{name}.*"):
            place = folder / file.parent.name / f"{number:04d}{file.name.removeprefix(name)}"
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.parent.name != "records":
                shutil.copyfile(file, place)
                continue
            content = json.loads(file.read_text(encoding="utf-8"))
            place.write_text(json.dumps({**content, "source": f"scans/{number:04d}.jpg"}))
    shutil.copyfile(run / "run.json", folder / "run.json")


def opening(page: Path, repeats: int) -> list[tuple[float, float]]:
    """Seconds until a page can be used, and until it is loaded, each time in a new browser.

    The first browser, which also reads Chromium itself from the disk, does not count.
    """
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    taken = []
    for _ in range(repeats + 1):
        options = webdriver.ChromeOptions()
        options.binary_location = chromium or ""
        for word in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
            options.add_argument(f"--{word}")
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            browser.set_window_size(1440, 900)
            browser.get(page.as_uri())
            usable, loaded = browser.execute_script(TIMES)
            taken.append((usable / 1000, loaded / 1000))
        finally:
            browser.quit()
    return taken[1:]


def measured(run: Path, folder: Path, count: int, repeats: int) -> dict[str, Any]:
    """The figures of one run."""
    copied(run, folder, count)
    start = time.perf_counter()
    page = write_report(load_run(folder))
    writing = time.perf_counter() - start
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    usable, loaded = zip(*opening(page, repeats), strict=True)
    return {
        "images": count,
        "folder_mb": size / 1e6,
        "folder_mb_an_image": size / 1e6 / count,
        "page_mb": (folder / NAME).stat().st_size / 1e6,
        "writing_seconds": writing,
        "usable_seconds": [statistics.median(usable), min(usable), max(usable)],
        "loaded_seconds": [statistics.median(loaded), min(loaded), max(loaded)],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 60, 1000])
    parser.add_argument("--scans", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = first_run(folder / "run", given.scans)
        rows = [
            measured(folder / "run", folder / str(count), count, given.repeats)
            for count in given.counts
        ]
    setting = {
        "scans": given.scans, "detections": found, "repeats": given.repeats,
        "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
    }  # fmt: skip
    given.results.mkdir(parents=True, exist_ok=True)
    record = {"setting": setting, "rows": rows}
    (given.results / "report.json").write_text(json.dumps(record, indent=1) + "\n")
    (given.results / "report.md").write_text("\n".join(lines(setting, rows)) + "\n")
    print("\n".join(lines(setting, rows)))


def lines(setting: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """The figures as a page."""
    return [
        "# Size and opening time of a report",
        "",
        f"{setting['scans']} scans of the sample that ships ({setting['detections']} detections, "
        "budget standard), copied until there are enough images. Headless Chromium on "
        f"{setting['cores']} cores (load {setting['load']:.0f}), a new browser each time, "
        f"median of {setting['repeats']} (least to greatest). A page can be used when its "
        "script has run; it is loaded when the pictures are that it does not leave for later. "
        "Up to 50 images are inside the page.",
        "",
        "| images | folder, MB | an image, MB | page, MB | written in, s | can be used after, s "
        "| loaded after, s |",
        "|--:|--:|--:|--:|--:|---|---|",
        *(
            f"| {row['images']:,} | {row['folder_mb']:.1f} | {row['folder_mb_an_image']:.2f} "
            f"| {row['page_mb']:.2f} | {row['writing_seconds']:.1f} "
            f"| {_range(row['usable_seconds'])} | {_range(row['loaded_seconds'])} |"
            for row in rows
        ),
    ]


def _range(seconds: list[float]) -> str:
    middle, least, most = seconds
    return f"{middle:.2f} ({least:.2f} to {most:.2f})"


if __name__ == "__main__":
    main()
