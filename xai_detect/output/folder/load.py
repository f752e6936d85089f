"""Reading a run folder back.

A folder may come from a stranger: no code in it is ever run, no file outside it is opened, and
every size is checked before memory is taken.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.output.folder.header import Header, header_from_json
from xai_detect.output.folder.judged import KINDS
from xai_detect.output.folder.pictures import read_picture
from xai_detect.output.folder.pixels import image_from, image_sha256, read_maps, read_png
from xai_detect.output.folder.records import Record, record_from_json
from xai_detect.values.detections import Provenance
from xai_detect.values.findings import Explanation, Inspection
from xai_detect.values.json import Json, as_list, as_mapping, as_text, damaged, read_json
from xai_detect.values.showing import Tabled

FORMAT = 4
"""Version of the folder's layout."""

MANIFEST = "run.json"

FAILURES = "failed.jsonl"
"""Files that failed since the manifest was written, one a line; the manifest takes them over."""


@dataclass(frozen=True, slots=True, eq=False)
class Run(Tabled):
    """A run folder.

    Attributes:
        folder: Where it lies.
        header: What all images have in common.
        status: ``running``, ``interrupted`` or ``done``.
        sessions: When it was started, with which command and versions; one entry per start.
        finished: When it was last finished, in ISO 8601; empty if never.
        failed: Reason by source, for files that could not be inspected.
        records: One per finished image, in the order of their sources.
    """

    folder: Path
    header: Header
    status: str
    sessions: tuple[Mapping[str, Json], ...]
    finished: str
    failed: Mapping[str, str]
    records: tuple[Record, ...]

    def __repr__(self) -> str:
        found = sum(len(record.detections) for record in self.records)
        return f"Run({self.folder}: {len(self.records)} images, {found} detections, {self.status})"

    @property
    def inspections(self) -> "Inspections":
        """The inspections, each read from disk when it is asked for."""
        return Inspections(self)


class Inspections(Sequence[Inspection]):
    """The inspections of a run; each access reads one image and its maps from disk.

    The image is the run's own copy where it keeps one: exactly what was inspected if the file had 8
    bits per colour, within 1/131070 otherwise. Else it is the run's small picture, enlarged: load
    the file named by ``source`` for the pixels that were inspected. Maps are kept in at most 160
    cells a side, each within 1/2048 of the largest, and spread over the image's pixels.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __len__(self) -> int:
        return len(self._run.records)

    @overload
    def __getitem__(self, index: int) -> Inspection: ...
    @overload
    def __getitem__(self, index: slice) -> list[Inspection]: ...
    def __getitem__(self, index: int | slice) -> Inspection | list[Inspection]:
        if isinstance(index, slice):
            return [self._read(record) for record in self._run.records[index]]
        return self._read(self._run.records[index])

    def __iter__(self) -> Iterator[Inspection]:
        return (self._read(record) for record in self._run.records)

    def _read(self, record: Record) -> Inspection:
        return read_inspection(self._run.folder, self._run.header.provenance, record)


def read_inspection(folder: Path, provenance: Provenance, record: Record) -> Inspection:
    """One image of a run with its pixels and maps.

    Raises:
        InputError: If a file is missing, damaged, or not the one that was inspected.
    """
    size = record.detections.image_size
    image = image_from(_pixels(folder, record))
    there = {kind: [made is not None for made in rows] for kind, rows in record.maps.items()}
    heatmaps = read_maps(inside(folder, f"maps/{record.name}.npz"), there, size)
    maps = {kind: _explanations(record, kind, heatmaps[kind]) for kind in KINDS}
    return Inspection(
        source=record.source,
        image=image,
        detections=record.detections,
        explanations=maps["detected"],
        contrasts=maps["class"],
        added=maps["added"],
        evidence=record.evidence,
        verdicts=record.verdicts,
        asked=record.asked,
        outcome=record.outcome,
        parts=record.parts,
        lookalikes=record.lookalikes,
        between=maps["between"],
        alike=record.alike,
        provenance=provenance,
    )


def _pixels(folder: Path, record: Record) -> np.ndarray:
    """The image's pixels: as inspected where they are kept, else the small picture enlarged."""
    size = record.detections.image_size
    path = inside(folder, f"images/{record.name}.png")
    if not path.exists():
        small = read_picture(inside(folder, f"pictures/{record.name}.webp"))
        return cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    array = read_png(path, size)
    if image_sha256(array) != record.image_sha256:
        raise InputError(f"{path} is damaged (its pixels are not those that were inspected)")
    return array


def _explanations(
    record: Record, kind: str, heatmaps: Sequence[Float[Tensor, "h w"] | None]
) -> tuple[Explanation | None, ...]:
    return tuple(
        None
        if made is None or heatmap is None
        else Explanation(
            heatmap, target, made.method, made.settings, made.measured, made.content_size
        )
        for target, made, heatmap in zip(
            record.detections, record.maps[kind], heatmaps, strict=True
        )
    )


def load_run(folder: str | Path) -> Run:
    """Read a run folder, finished or not.

    Raises:
        InputError: If it is no run folder or something in it is damaged.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no run ({MANIFEST} is missing)")
    path = inside(folder, MANIFEST)
    read = read_json(path)
    with damaged(path):
        content = as_mapping(read)
        layout = content["format"]
    if layout != FORMAT:
        raise InputError(
            f"{folder} has layout {layout}, but this version reads layout {FORMAT}; "
            "use the version of xai-detect that wrote it"
        )
    header = header_from_json(content, path)
    with damaged(path):
        failed = _reasons(as_list(content["failed"]))
        sessions = tuple(as_mapping(session) for session in as_list(content["sessions"]))
        status, finished = as_text(content["status"]), as_text(content["finished"])
    records = read_records(folder, header.class_names)
    failed |= _failed_since(folder)
    for record in records:  # mended after it had failed
        failed.pop(record.source, None)
    return Run(folder, header, status, sessions, finished, failed, records)


def _failed_since(folder: Path) -> dict[str, str]:
    """What failed after the manifest was written; a line that was cut short is left out."""
    if not (folder / FAILURES).is_file():
        return {}
    path = inside(folder, FAILURES)
    with damaged(path):
        lines = path.read_bytes().split(b"\n")[:-1]
        return _reasons(json.loads(line) for line in lines)


def _reasons(failed: Iterable[object]) -> dict[str, str]:
    """Why each source failed."""
    rows = map(as_mapping, failed)
    return {as_text(row["source"]): as_text(row["reason"]) for row in rows}


def read_record(folder: Path, name: str, class_names: tuple[str, ...]) -> Record:
    """One finished image of a run.

    Raises:
        InputError: If its record is missing or damaged.
    """
    path = inside(folder, f"records/{name}.json")
    return record_from_json(read_json(path), class_names, path)


def read_records(folder: Path, class_names: tuple[str, ...]) -> tuple[Record, ...]:
    """The finished images of a run, in the order of their sources.

    Raises:
        InputError: If a record is damaged.
    """
    records = [
        read_record(folder, file.stem, class_names)
        for file in (folder / "records").glob("[!.]*.json")
    ]
    return tuple(sorted(records, key=lambda record: record.source))


def inside(folder: Path, name: str | Path) -> Path:
    """The path of a file of the run.

    Raises:
        InputError: If it leads out of the folder, by a link for instance.
    """
    path = folder / name if isinstance(name, str) else name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path} leads out of the run folder; it is not opened")
    return path
