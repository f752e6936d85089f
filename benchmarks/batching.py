"""What it saves to look at several images in one forward pass.

    python -m benchmarks.batching [IMAGES ...] [--model NAME] [--imgsz SIDE] [--threads N]

Bare passes: what ``detect`` and the predictions behind it take together, on images that are read
and placed already, one at a time and in batches. Ratios are of processor time where there is one
thread, since a busy machine changes that least; else of the time on the clock. Repeats are
interleaved in a shuffled order; intervals are bootstrapped over them. Adds a row for the model, the
side and the threads to ``benchmarks/results/batching.json``, and writes ``batching.md`` from all.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import SharingDetector
from xai_detect.measures.statistics import bootstrap
from xai_detect.scores.survival import fitting_batch
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image

RESULTS = Path(__file__).parent / "results"
SAMPLE = Path(__file__).parents[1] / "datasets/screening_sample/images/val"
BATCHES = (1, 2, 4, 8)


def passes(detector: SharingDetector, images: Sequence[Placed], batch: int) -> list[torch.Tensor]:
    """The probabilities for each image, in batches."""
    found: list[torch.Tensor] = []
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        pixels = torch.cat([image.pixels for image in some])
        _, whole = detector.look(pixels, [image.frame for image in some])
        found += list(whole.raw.probabilities)
    return found


def medians(ratios: np.ndarray, drawn: np.ndarray) -> list[float]:
    """The median of ratios, each taken as often as it was drawn."""
    return [float(np.median(np.repeat(ratios, drawn)))]


def measure(given: argparse.Namespace) -> dict[str, object]:
    """One row: milliseconds an image alone, and the gain of each batch."""
    detector = load_detector(given.model, imgsz=given.imgsz)
    paths = given.images or sorted(SAMPLE.iterdir())[: given.count]
    images = [place(detector, load_image(path)) for path in paths]
    sides = {image.frame.input_size for image in images}
    if not isinstance(detector, SharingDetector) or len(sides) != 1:
        raise SystemExit("pass an ultralytics detector, and images that fill inputs of one size")
    clock: Callable[[], float] = time.process_time if given.threads == 1 else time.perf_counter
    draw, spent = np.random.default_rng(given.seed), {batch: list[float]() for batch in BATCHES}
    alone = passes(detector, images, 1)
    moved = max(
        float((one - other).abs().max())
        for batch in BATCHES[1:]
        for one, other in zip(alone, passes(detector, images, batch), strict=True)
    )
    for _ in range(given.repeats):
        for batch in draw.permutation(BATCHES).tolist():
            start = clock()
            passes(detector, images, batch)
            spent[batch].append(clock() - start)
    seconds = {batch: np.array(times) for batch, times in spent.items()}
    row: dict[str, object] = {
        "model": Path(given.model).name,
        "input": "x".join(map(str, sides.pop())),
        "threads": given.threads,
        "n": len(images),
        "repeats": given.repeats,
        "seed": given.seed,
        "load": round(os.getloadavg()[0], 1),
        "batch_taken": fitting_batch(detector, images[0].frame),
        "milliseconds_alone": float(np.median(seconds[1])) / len(images) * 1000,
        "probability_moved": moved,
    }
    for batch in BATCHES[1:]:
        ratios = seconds[1] / seconds[batch]
        ((low, high),) = bootstrap(given.repeats, partial(medians, ratios), seed=given.seed)
        row[f"gain_{batch}"] = [float(np.median(ratios)), low, high]
    return row


def page(rows: Sequence[dict[str, object]]) -> str:
    """The results for people."""
    lines = [
        "# Several images in one forward pass", "",
        f"{platform.machine()}, torch {version('torch')}. Gain: times faster an image than one at "
        "a time, median and 95% interval over the repeats; processor time with one thread, else "
        "time on the clock. *Taken* is the batch that `inspect_many` runs of that input. *Moved*: "
        "the largest change of a probability, over all raw predictions. *Load*: how many processes "
        "wanted the machine's two cores meanwhile.", "",
        "| model | input | threads | n | repeats | seed | load | ms alone | gain of 2 | of 4 "
        "| of 8 | taken | moved |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        gains = [
            "{:.2f} ({:.2f} to {:.2f})".format(*row[f"gain_{batch}"])  # type: ignore[misc]
            for batch in BATCHES[1:]
        ]
        first = [str(row[name]) for name in ("model", "input", "threads", "n", "repeats", "seed",
                                             "load")]  # fmt: skip
        cells = [*first, f"{row['milliseconds_alone']:.0f}", *gains, str(row["batch_taken"]),
                 f"{row['probability_moved']:.1e}"]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="*")
    parser.add_argument("--model", default="screening")
    parser.add_argument("--imgsz", type=int, default=None)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    row = measure(given)
    kept, same = RESULTS / "batching.json", ("model", "input", "threads")
    rows = json.loads(kept.read_text()) if kept.exists() else []
    rows = [old for old in rows if any(old[name] != row[name] for name in same)] + [row]
    kept.write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "batching.md").write_text(page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
