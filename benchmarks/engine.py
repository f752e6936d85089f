"""How much faster each engine is, and how far its maps are from float32's.

    python -m benchmarks.engine [--model planted/object] [--imgsz 192] [--scans 5] [IMAGE ...]

Without images, scans of the planted world are made. Per engine and device (a GPU too, where there
is one): seconds of a forward pass and of a forward and backward pass over those of ``eager``,
medians over interleaved repeats after a warm-up that includes compiling; Spearman's correlation of
maps with those of ``eager`` on the CPU, on raw pixels and smoothed as maps are read; and how far
scores and boxes move. Writes ``benchmarks/results/engine.md`` and ``.json``.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from xai_detect.detectors.engine import ENGINES
from xai_detect.detectors.lending import lent
from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS
from xai_detect.inspection.image import detect
from xai_detect.trust.maps import smooth
from xai_detect.values.images import load_image
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 990_000
BATCH = 8
COMPARED = {
    "integrated_gradients": METHODS["integrated_gradients"](),
    "hires_cam": METHODS["hires_cam"](),
    "odam": METHODS["odam"](),
    "d_rise": METHODS["d_rise"](masks=512),
}


def scans(count: int) -> list[torch.Tensor]:
    """Scans of the world in which the cause is the object itself."""
    return [
        load_image(
            render(compose_apart("object", np.random.default_rng(FIRST_SEED + row)), 192).image
        )
        for row in range(count)
    ]


def passes(detector: Any, image: torch.Tensor) -> dict[str, Callable[[], object]]:
    """A batch forward without gradients, and one forward and backward pass."""
    frame = detector.frame((image.shape[1], image.shape[2]))
    pixels = frame.to_input(image[None])
    batch, target = pixels.repeat(BATCH, 1, 1, 1), detect(detector, image, 0.05).target(0)

    def backward() -> None:
        point = pixels.clone().requires_grad_()
        torch.autograd.grad(detector.score(point, target, frame).sum(), point)

    return {"forward": lambda: detector.raw(batch), "forward_backward": backward}


def seconds(work: Callable[[], object], device: str) -> float:
    """Wall-clock seconds of a call that is through on its device."""
    start = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def speed(detectors: dict[str, Any], image: torch.Tensor, device: str, repeats: int) -> Any:
    """Per engine and kind of pass, the time of ``eager`` over its own."""
    works = {name: passes(one, image) for name, one in detectors.items()}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in works}
    for number in range(repeats + 1):
        for name, kinds in works.items():
            with lent(detectors[name].module):
                for kind, work in kinds.items():
                    spent = seconds(work, device)
                    if number:  # the first is for warming up
                        found[name].setdefault(kind, []).append(spent)
    return {
        name: {
            kind: statistics.median(
                base / own for base, own in zip(found["eager"][kind], times, strict=True)
            )
            for kind, times in kinds.items()
        }
        for name, kinds in found.items()
    }


def closeness(reference: Any, detector: Any, images: list[torch.Tensor]) -> dict[str, float]:
    """Lowest correlations and largest moves over the best detection of each image."""
    found: dict[str, list[float]] = {}
    for image in images:
        base, own = detect(reference, image), detect(detector, image)
        if not len(base):
            continue
        found.setdefault("same_detections", []).append(float(len(base) == len(own)))
        if len(base) == len(own):
            moved = (base.scores - own.scores).abs().max(), (base.boxes - own.boxes).abs().max()
            found.setdefault("score_moved", []).append(-float(moved[0]))
            found.setdefault("box_moved_pixels", []).append(-float(moved[1]))
        for name, method in COMPARED.items():
            maps = [
                explain(method, one, image, [base.target(0)])[0].heatmap
                for one in (reference, detector)
            ]
            for kind, pair in (("raw", maps), ("smoothed", [smooth(one) for one in maps])):
                value = spearmanr(pair[0].flatten(), pair[1].flatten()).statistic
                found.setdefault(f"{name}_{kind}", []).append(float(value))
    return {name: abs(min(values)) for name, values in found.items()}


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per device and engine; an engine that cannot run there says why."""
    images = [load_image(path) for path in given.images] or scans(given.scans)
    reference = load_detector(given.model, imgsz=given.imgsz)
    rows = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        detectors, refused = {}, {}
        for name in given.engines:
            try:
                one = load_detector(given.model, imgsz=given.imgsz, device=device, engine=name)
                detect(one, images[0])
            except InputError as error:
                refused[name] = str(error)
            else:
                detectors[name] = one
        ratios = speed(detectors, images[0], device, given.repeats)
        rows += [
            {"device": device, "engine": name, **ratios[name], **closeness(reference, one, images)}
            for name, one in detectors.items()
        ]
        rows += [
            {"device": device, "engine": name, "refused": why} for name, why in refused.items()
        ]
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [
        [
            f"{row[key]:.3f}" if isinstance(row.get(key), float) else row.get(key, "")
            for key in columns
        ]
        for row in rows
    ]
    cells = [[one.replace("_", " ") for one in columns], ["---"] * len(columns), *shown]
    return [f"| {' | '.join(row)} |" for row in cells]


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="*")
    parser.add_argument("--model", default="planted/object")
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--scans", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = measure(given)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    lines = [
        "# Engines", "",
        f"{given.model}, {len(given.images) or given.scans} images, {given.threads} thread(s), "
        f"{platform.machine()}{gpu}, torch {version('torch')}. Speed: times faster than eager on "
        f"the same device, medians of {given.repeats} interleaved repeats (a batch of {BATCH} "
        "forward; one image forward and backward). Closeness to eager on the CPU, worst of all "
        "images: Spearman's correlation of maps, raw and smoothed; moves of scores and boxes.", "",
        *table(rows),
    ]  # fmt: skip
    (RESULTS / "engine.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "engine.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
