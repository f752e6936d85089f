"""``xai-detect simulate``: folders of scans with exact ground truth.

The header (``info``) tells the version of the simulator, and what was asked of it.
One seed per scan, derived from the data set's seed and the scan's number: the same seed gives the
same bytes, a longer set begins with the shorter one, and the number of processes changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.values.json import Json
from xai_detect.xray.scenes import dataset
from xai_detect.xray.scenes.planted import WORLDS, Planted, render
from xai_detect.xray.scenes.projection import insert_random, load_bags
from xai_detect.xray.scenes.scan import SIMULATOR, Packing, compose, scan
from xai_detect.xray.scenes.worlds import compose_apart
from xai_detect.xray.things.items import BENIGN, DANGEROUS

#: Smallest and largest side of a scan, in pixels.
SIZES = (64, 2048)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was written.

    Attributes:
        folder: Root of the data set.
        annotations: The COCO file.
        scans: Number of images.
        items: Number of annotated items.
        clean: Number of images without one.
    """

    folder: Path
    annotations: Path
    scans: int
    items: int
    clean: int


@dataclass(frozen=True, slots=True)
class _Job:
    """Everything a worker needs for one scan."""

    out: Path
    split: str
    seed: int
    size: int
    suffix: str
    raw: bool
    planted: str | None
    variant: str
    bags: tuple[Path, ...]
    packing: Packing


class _Made(NamedTuple):
    """Rows about one scan, its annotations without ids."""

    image: dict[str, Json]
    annotations: list[dict[str, Json]]
    everything: list[dict[str, Json]]


def simulate(
    out: Path,
    scans: int = 100,
    seed: int = 0,
    size: int = 640,
    planted: str | None = None,
    into: Path | None = None,
    *,
    variant: str = "plain",
    split: str = "val",
    image_format: str = "jpg",
    raw: bool = False,
    packing: Packing | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Simulated:
    """Write a data set of simulated scans.

    Args:
        out: Folder to write into; made if missing. Must not hold this split already.
        scans: How many.
        seed: Same seed, same bytes.
        size: Height and width in pixels (ignored with ``into``: the bags keep theirs).
        planted: A world of ``planted.WORLDS``: two classes whose cause is recorded as a mask.
        into: Folder of real scans; one simulated dangerous item is projected into each.
        variant: Planted only: ``plain``, ``swapped`` (the other class's cause) or ``removed``
            (none), over the same scans.
        split: Name of the split.
        image_format: ``jpg`` or ``png``.
        raw: Also write the 16-bit low/high pair to ``raw/<split>/`` (not with ``into``).
        packing: How the bags are filled (not with ``planted`` or ``into``).
        workers: Worker processes; changes nothing but the time.
        progress: Called with scans done and scans in all.

    Raises:
        InputError: If a setting is out of range, or the split exists.
    """
    _check(scans, size, planted, into, variant, image_format, raw)
    if workers < 1:
        raise InputError(f"workers is {workers}; expected at least 1")
    file = out / "annotations" / f"instances_{split}.json"
    if file.exists():
        raise InputError(f"{file} exists; choose another folder or another split")
    for folder in (f"images/{split}", "annotations", "truth", *([f"raw/{split}"] if raw else [])):
        (out / folder).mkdir(parents=True, exist_ok=True)
    if planted is not None:
        (out / "truth" / f"causes_{split}").mkdir(exist_ok=True)
    bags = load_bags(into) if into is not None else ()
    job = _Job(
        out,
        split,
        seed,
        size,
        f".{image_format}",
        raw,
        planted,
        variant,
        bags,
        packing or Packing(),
    )
    records: list[_Made] = []
    # generator: records come in the order of the scans, each as soon as it is ready
    pool = Parallel(n_jobs=workers, return_as="generator")
    threads = cv2.getNumThreads()
    try:
        for record in pool(delayed(_make)(job, index) for index in range(scans)):
            records.append(record)
            if progress is not None:
                progress(len(records), scans)
    finally:
        cv2.setNumThreads(threads)
    names = WORLDS[planted] if planted is not None else tuple(DANGEROUS)
    info: dict[str, Json] = {
        "simulator": SIMULATOR,
        "seed": seed,
        "scans": scans,
        "size": size,
        "planted": planted,
        "variant": variant,
    }
    images = [made.image for made in records]
    items = _write(file, images, [row for made in records for row in made.annotations], names, info)
    if planted is None and into is None:
        everything = out / "truth" / f"items_{split}.json"
        rows = [row for made in records for row in made.everything]
        _write(everything, images, rows, (*DANGEROUS, *BENIGN), info)
    clean = sum(not made.annotations for made in records)
    return Simulated(out, file, scans, items, clean)


def _check(
    scans: int,
    size: int,
    planted: str | None,
    into: Path | None,
    variant: str,
    image_format: str,
    raw: bool,
) -> None:
    if scans < 1:
        raise InputError(f"scans is {scans}; expected at least 1")
    if not SIZES[0] <= size <= SIZES[1]:
        raise InputError(f"size is {size}; expected {SIZES[0]} to {SIZES[1]} pixels")
    if planted is not None and planted not in WORLDS:
        raise InputError(f"no planted world {planted!r}; expected one of {', '.join(WORLDS)}")
    if planted is not None and into is not None:
        raise InputError("planted and into exclude each other: planted scans need a known bag")
    if variant not in ("plain", "swapped", "removed"):
        raise InputError(f"no variant {variant!r}; expected plain, swapped or removed")
    if variant != "plain" and planted is None:
        raise InputError(f"variant {variant!r} needs a planted world")
    if image_format not in ("jpg", "png"):
        raise InputError(f"no image format {image_format!r}; expected jpg or png")
    if raw and into is not None:
        raise InputError("a raw pair cannot be written with into: real scans have colours only")


def _make(job: _Job, index: int) -> _Made:
    """Make and write one scan."""
    # one thread per process: many small operations, and the sum is faster with two processes
    cv2.setNumThreads(1)
    rng = np.random.default_rng([job.seed, index])
    if job.planted is not None:
        return _planted(job, index, rng)
    if job.bags:
        return _projected(job, index, rng)
    made = scan(compose(rng, job.packing), job.size)
    name = _store(job, index, made.image)
    if job.raw:
        dataset.write_raw(job.out / "raw" / job.split, f"{index:06d}", made)
    scanner = made.scene.scanner
    image = _image(index, name, made.image.shape[:2])
    image |= {"bag": made.scene.bag, "palette": scanner.palette, "photons": round(scanner.photons)}
    return _Made(
        image,
        dataset.annotations(made, index + 1, 0, tuple(DANGEROUS)),
        dataset.annotations(made, index + 1, 0, (*DANGEROUS, *BENIGN)),
    )


def _planted(job: _Job, index: int, rng: np.random.Generator) -> _Made:
    planted: Planted = compose_apart(str(job.planted), rng)
    if job.variant != "plain":
        planted = planted.swapped() if job.variant == "swapped" else planted.removed()
    made = render(planted, job.size)
    name = _store(job, index, made.image)
    if job.raw:
        dataset.write_raw(job.out / "raw" / job.split, f"{index:06d}", made.scan)
    cause = f"truth/causes_{job.split}/{index:06d}.png"
    encoded = cv2.imencode(".png", made.cause.astype(np.uint8) * 255)[1]
    (job.out / cause).write_bytes(encoded.tobytes())
    rows = []
    if made.item.any():
        fields: dict[str, Json] = {
            "image_id": index + 1,
            "category_id": made.label + 1,
            "material": "",
            "overlap": 0.0,
        }
        rows.append(dataset.annotation(made.item, id=0, **fields))
        if made.cause.any():
            rows[0]["cause"] = dataset.encode(made.cause)
    image = _image(index, name, made.image.shape[:2])
    return _Made(image | {"world": job.planted, "cause": cause}, rows, [])


def _projected(job: _Job, index: int, rng: np.random.Generator) -> _Made:
    path = job.bags[index % len(job.bags)]
    made = insert_random(path, rng)
    name = _store(job, index, made.image)
    row = dataset.annotation(
        made.mask,
        id=0,
        image_id=index + 1,
        category_id=list(DANGEROUS).index(made.label) + 1,
        material=made.material,
        overlap=0.0,
    )
    image = _image(index, name, made.image.shape[:2]) | {"bag": path.name}
    return _Made(image, [row], [])


def _store(job: _Job, index: int, image: NDArray[np.uint8]) -> str:
    name = f"{index:06d}{job.suffix}"
    dataset.write_image(job.out / "images" / job.split / name, image)
    return name


def _image(index: int, name: str, shape: tuple[int, ...]) -> dict[str, Json]:
    return {"id": index + 1, "file_name": name, "height": shape[0], "width": shape[1]}


def _write(
    file: Path,
    images: list[dict[str, Json]],
    rows: list[dict[str, Json]],
    names: tuple[str, ...],
    info: dict[str, Json],
) -> int:
    """Number the annotations and write a COCO file; gives their count."""
    numbered = [row | {"id": index + 1} for index, row in enumerate(rows)]
    content: dict[str, Json] = {
        "info": {"description": "simulated X-ray scans", **info},
        "images": images,
        "annotations": numbered,
        "categories": dataset.categories(names),
    }
    dataset.write_json(file, content)
    return len(numbered)
