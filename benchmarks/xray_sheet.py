"""Simulated scans to look at, and their colours beside those of real ones.

``python benchmarks/xray_sheet.py`` writes fifty simulated scans to ``results/xray_sheet.jpg`` and
their colour statistics to ``results/xray_sheet.json``. With ``--real FOLDER`` (repeatable) the
statistics of those scans are added; with ``--side-by-side FILE`` a sheet with both is written,
which must stay outside the repository where the terms of the real scans say so.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.xray.scenes.scan import compose, scan

RESULTS = Path(__file__).parent / "results"
SIDE = 200
SEED = 7_000_000


def simulated(count: int) -> list[NDArray[np.uint8]]:
    """Fresh scans, RGB, 640 px."""
    return [scan(compose(np.random.default_rng(SEED + i)), 640).image for i in range(count)]


def real(folder: Path, count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Random scans of a folder, RGB."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    chosen = np.random.default_rng(seed).choice(len(files), min(count, len(files)), replace=False)
    read = [cv2.imread(str(files[i]), cv2.IMREAD_COLOR) for i in sorted(chosen)]
    return [np.asarray(image[..., ::-1], np.uint8) for image in read if image is not None]


def sheet(images: list[NDArray[np.uint8]], columns: int = 10) -> NDArray[np.uint8]:
    """The images, letterboxed in white, in rows."""
    tiles = []
    for image in images:
        height, width = image.shape[:2]
        scale = SIDE / max(height, width)
        new = (round(width * scale), round(height * scale))
        tile = np.full((SIDE, SIDE, 3), 255, np.uint8)
        tile[: new[1], : new[0]] = cv2.resize(image, new, interpolation=cv2.INTER_AREA)
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.full((SIDE, SIDE, 3), 255, np.uint8))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def statistics(images: list[NDArray[np.uint8]]) -> dict[str, tuple[float, float]]:
    """Mean and standard error over images of what the eye compares.

    ``fullness`` is the share of pixels that are not air; the rest are shares of those: ``orange``,
    ``green`` and ``blue`` hues, ``dark`` (value below 0.25) and ``pale`` (saturation below 0.2);
    ``edges`` is the share of pixels on a Canny edge at 320 px.
    """
    rows = []
    for image in images:
        scale = 320 / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        hue, saturation, value = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2HSV))
        matter = (value < 225) | (saturation > 18)
        coloured = matter & (saturation > 51) & (value > 64)
        edges = cv2.Canny(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), 60, 140) > 0
        count = max(int(matter.sum()), 1)
        rows.append(
            (
                matter.mean(),
                (coloured & (hue < 25)).sum() / count,
                (coloured & (hue >= 25) & (hue < 85)).sum() / count,
                (coloured & (hue >= 85) & (hue < 135)).sum() / count,
                (matter & (value <= 64)).sum() / count,
                (matter & (saturation <= 51) & (value > 64)).sum() / count,
                edges.mean(),
            )
        )
    table = np.asarray(rows, np.float64)
    errors = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    names = ("fullness", "orange", "green", "blue", "dark", "pale", "edges")
    return {
        name: (round(float(mean), 4), round(float(error), 4))
        for name, mean, error in zip(names, table.mean(axis=0), errors, strict=True)
    }


def main() -> None:
    """Write the sheet and the statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, action="append", default=[])
    parser.add_argument("--side-by-side", type=Path, default=None)
    options = parser.parse_args()
    start = time.process_time()
    made = simulated(50)
    seconds = time.process_time() - start
    results = {
        "seed": SEED,
        "scans": len(made),
        "cpu_seconds_per_scan": round(seconds / len(made), 4),
        "statistics": {"simulated": statistics(made)},
    }
    RESULTS.mkdir(exist_ok=True)
    picture = np.ascontiguousarray(sheet(made)[..., ::-1])
    cv2.imwrite(str(RESULTS / "xray_sheet.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    pairs = list(made[:20])
    for folder in options.real:
        scans = real(folder, 50, SEED)
        results["statistics"][folder.parent.parent.name or folder.name] = statistics(scans)
        pairs += scans[:20]
    (RESULTS / "xray_sheet.json").write_text(json.dumps(results, indent=1))
    if options.side_by_side is not None:
        cv2.imwrite(str(options.side_by_side), np.ascontiguousarray(sheet(pairs)[..., ::-1]))


if __name__ == "__main__":
    main()
