"""What explaining and weighing cost beside the bare network, measured in one process.

    python -m benchmarks.cost WEIGHTS IMAGE

Ratios of processor time, medians over interleaved repeats: integrated gradients against as many
bare forward and backward passes of the same network; ten boxes of one image at once against ten
runs of one box; the passes that a verdict spends at each budget; and ``inspect`` of the image
enlarged to 3 and to 12 megapixels against the image at 640 pixels, five boxes each. Peak memory of
``inspect`` is that of a process of its own. Writes ``benchmarks/results/cost.md`` and ``.json``.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from xai_detect.data.classes import select
from xai_detect.detectors.lending import lent
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.integrated import IntegratedGradients
from xai_detect.inspection.image import detect, inspect
from xai_detect.trust.budget import BUDGETS
from xai_detect.trust.weigh import weigh
from xai_detect.values.detections import Detections, Target
from xai_detect.values.images import load_image

RESULTS = Path(__file__).parent / "results"
METHOD = IntegratedGradients(steps=8, max_steps=8)
BOXES = 10
SIDES = {"small": 640, "3_megapixels": 2048, "12_megapixels": 4096}


def bare(
    detector: WhiteBoxDetector, image: torch.Tensor, target: Target, forwards: int, backwards: int
) -> None:
    """The network alone: forward passes, as many of them with a backward pass as asked for."""
    frame = detector.frame((image.shape[1], image.shape[2]))
    pixels = frame.to_input(image[None])
    with lent(detector.module):
        for number in range(forwards):
            if number < backwards:
                point = pixels.clone().requires_grad_()
                torch.autograd.grad(detector.score(point, target, frame).sum(), point)
            else:
                with torch.no_grad():
                    detector.score(pixels, target, frame)


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(weights: Path, path: Path, repeats: int) -> dict[str, float]:
    """All ratios; medians over interleaved repeats after one warm-up."""
    torch.set_num_threads(1)
    detector, image = load_detector(weights), load_image(path)
    found = detect(detector, image, 0.05)
    targets = (list(found) * BOXES)[:BOXES]
    single = explain(METHOD, detector, image, targets[:1])[0]
    forwards = int(single.measured["forward_passes"])
    backwards = int(single.measured["backward_passes"])
    ones, bares, tens, apart = [], [], [], []
    for _ in range(repeats):
        bares.append(seconds(lambda: bare(detector, image, targets[0], forwards, backwards)))
        ones.append(seconds(lambda: explain(METHOD, detector, image, targets[:1])))
        tens.append(seconds(lambda: explain(METHOD, detector, image, targets)))
        apart.append(seconds(lambda: [explain(METHOD, detector, image, [one]) for one in targets]))
    best = select(found, torch.arange(1))
    spent = {
        name: weigh(detector, image, best, budget=budget)[0].evidence
        for name, budget in BUDGETS.items()
    }
    return {
        "integrated_gradients_over_bare": statistics.median(
            one / other for one, other in zip(ones, bares, strict=True)
        ),
        "ten_boxes_over_ten_runs": statistics.median(
            one / other for one, other in zip(tens, apart, strict=True)
        ),
        **{
            f"{name}_{what}": evidence[what]
            for name, evidence in spent.items()
            for what in ("test_passes", "map_passes")
        },
        "forward_passes_compared": float(forwards),
        "backward_passes_compared": float(backwards),
        "repeats": float(repeats),
        **photo_sizes(detector, image, repeats),
    }


def photo_sizes(detector: WhiteBoxDetector, image: torch.Tensor, repeats: int) -> dict[str, float]:
    """Processor time of ``inspect`` of large copies against the small one, the same five boxes."""
    copies = {name: enlarged(image, side) for name, side in SIDES.items()}
    known = {name: five_boxes(detector, copy) for name, copy in copies.items()}
    spent: dict[str, list[float]] = {name: [] for name in copies}
    for _ in range(repeats):
        for name, copy in copies.items():
            spent[name].append(seconds(partial(inspect, detector, copy, detections=known[name])))
    figures = {f"inspect_{name}_seconds": statistics.median(spent[name]) for name in copies}
    small = spent["small"]
    for name in ("3_megapixels", "12_megapixels"):
        figures[f"inspect_{name}_over_small"] = statistics.median(
            large / one for large, one in zip(spent[name], small, strict=True)
        )
    return figures


def enlarged(image: torch.Tensor, side: int) -> torch.Tensor:
    """The image with its longer side at so many pixels."""
    scale = side / max(image.shape[1:])
    size = [round(length * scale) for length in image.shape[1:]]
    found = torch.nn.functional.interpolate(image[None], size=size, mode="bicubic")
    return found[0].clamp(0, 1)


def five_boxes(detector: WhiteBoxDetector, image: torch.Tensor) -> Detections:
    """The five best detections."""
    found = detect(detector, image, 0.05)
    return select(found, torch.arange(min(5, len(found))))


def peak_memory(weights: Path, path: Path) -> float:
    """Peak resident memory of ``inspect`` on one image in a fresh process, in GB."""
    command = [sys.executable, "-m", "benchmarks.cost", str(weights), str(path), "--inspect-only"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inspect-only", action="store_true")
    given = parser.parse_args()
    if given.inspect_only:
        inspect(load_detector(given.weights), given.image)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
        return
    # First, because a process inherits the peak of the one that starts it.
    peak = peak_memory(given.weights, given.image)
    figures = {**measure(given.weights, given.image, given.repeats), "inspect_peak_gb": peak}
    lines = [
        "# Cost beside the bare network", "",
        f"{given.weights.name}, one image, one thread, {platform.machine()}, torch "
        f"{version('torch')}; processor time, medians of {given.repeats} interleaved repeats.", "",
        "| figure | value |", "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in figures.items()),
    ]  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cost.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (RESULTS / "cost.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
