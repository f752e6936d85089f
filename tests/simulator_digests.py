"""Digests of scans, and the file of golden ones: ``python tests/simulator_digests.py`` writes it.

Only a change of ``SIMULATOR`` is a reason to write it again. A picture has one digest for each of
its 24 bands of rows: processors round differently, and of a scan's 110,592 values up to three
were seen to differ between instruction sets. Labels, boxes and masks were never seen to differ,
whatever the instruction set or the number of threads.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xai_detect.xray.scenes.cued import CUED, compose_cued, render_cued
from xai_detect.xray.scenes.dataset import annotations
from xai_detect.xray.scenes.planted import WORLDS, render
from xai_detect.xray.scenes.scan import SIMULATOR, compose, scan
from xai_detect.xray.scenes.worlds import compose_apart
from xai_detect.xray.things.items import BENIGN, DANGEROUS

FILE = Path(__file__).with_suffix(".json")
SCANS = 10
SIDE = 192
BANDS = 24
#: Honest twins have the scans of their worlds.
KINDS = (*WORLDS, *(name for name in CUED if not name.endswith("_honest")), "plain")


def drawn(kind: str, seed: int) -> tuple[np.ndarray, bytes]:
    """The pixels of a scan before any encoding, and everything recorded as true about it."""
    rng = np.random.default_rng([2026, seed])
    if kind in CUED:
        # seeds of its own: a scan without its cue may be that of another world
        rng = np.random.default_rng([2026, SCANS * (1 + list(CUED).index(kind)) + seed])
        cued = render_cued(compose_cued(kind, rng, SIDE), SIDE)
        words = f"{cued.box} {cued.class_name} {cued.state} {cued.reported}".encode()
        masks = (cued.item, cued.mark, cued.cause)
        return cued.image, words + b"".join(mask.tobytes() for mask in masks)
    if kind == "plain":
        made = scan(compose(rng), SIDE)
        rows = annotations(made, 1, 1, (*DANGEROUS, *BENIGN))
        names = ("bbox", "category_id", "segmentation")
        return made.image, json.dumps([[row[name] for name in names] for row in rows]).encode()
    planted = render(compose_apart(kind, rng, SIDE), SIDE)
    words = f"{planted.box} {planted.class_name}".encode()
    return planted.image, words + planted.item.tobytes() + planted.cause.tobytes()


def digests(kind: str, seed: int) -> dict[str, str]:
    """What is kept of a scan: 16 digits for the truth, 4 for each band of the picture."""
    pixels, truth = drawn(kind, seed)
    bands = "".join(
        hashlib.sha256(np.ascontiguousarray(band).tobytes()).hexdigest()[:4]
        for band in np.split(pixels, BANDS)
    )
    return {"truth": hashlib.sha256(truth).hexdigest()[:16], "picture": bands}


def bands_apart(picture: str, other: str) -> int:
    """In how many bands two pictures differ."""
    return sum(one != two for one, two in zip(_bands(picture), _bands(other), strict=True))


def _bands(picture: str) -> Iterator[str]:
    return (picture[start : start + 4] for start in range(0, len(picture), 4))


def main() -> None:
    """Write the golden file."""
    scans = {kind: [digests(kind, seed) for seed in range(SCANS)] for kind in KINDS}
    FILE.write_text(json.dumps({"simulator": SIMULATOR, "scans": scans}, indent=1) + "\n")


if __name__ == "__main__":
    main()
