"""Reading a run folder back.

A folder may come from a stranger: no code in it is ever run, no file outside it is opened, and
every size is checked before memory is taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from xai_detect.errors import InputError
from xai_detect.output.folder.header import Header, header_from_json
from xai_detect.output.folder.pixels import image_from, image_sha256, read_maps, read_png
from xai_detect.output.folder.records import Record, record_from_json
from xai_detect.values.findings import Explanation, Inspection
from xai_detect.values.json import as_list, as_mapping, as_text, damaged, read_json

FORMAT = 1
"""Version of the folder's layout."""

MANIFEST = "run.json"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
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
    sessions: tuple[Mapping[str, Any], ...]
    finished: str
    failed: Mapping[str, str]
    records: tuple[Record, ...]

    @property
    def inspections(self) -> "Inspections":
        """The inspections, each read from disk when it is asked for."""
        return Inspections(self)


class Inspections(Sequence[Inspection]):
    """The inspections of a run; each access reads one image and its maps from disk.

    The image is the run's own copy: exactly what was inspected if the file had 8 bits per colour,
    within 1/131070 otherwise. Maps are within 1/2048 of each value.
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
            return [_inspection(self._run, record) for record in self._run.records[index]]
        return _inspection(self._run, self._run.records[index])

    def __iter__(self) -> Iterator[Inspection]:
        return (_inspection(self._run, record) for record in self._run.records)


def _inspection(run: Run, record: Record) -> Inspection:
    size = record.detections.image_size
    path = inside(run.folder, f"views/{record.name}.clean.png")
    array = read_png(path, size)
    if image_sha256(array) != record.image_sha256:
        raise InputError(f"{path} is damaged (its pixels are not those that were inspected)")
    image = image_from(array)
    heatmaps = read_maps(
        inside(run.folder, f"maps/{record.name}.npz"), len(record.detections), size
    )
    explanations = tuple(
        Explanation(heatmap, target, method, settings, measured)
        for heatmap, target, method, settings, measured in zip(
            heatmaps, record.targets, record.methods, record.settings, record.measured, strict=True
        )
    )
    return Inspection(
        source=record.source,
        image=image,
        detections=record.detections,
        targets=record.targets,
        explanations=explanations,
        evidence=record.evidence,
        verdicts=record.verdicts,
        outcome=record.outcome,
        provenance=run.header.provenance,
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
    content = read_json(path)
    with damaged(path):
        layout = content["format"]
        header = header_from_json(content, path)
        failed = {as_text(one["source"]): as_text(one["reason"]) for one in content["failed"]}
        sessions = tuple(as_mapping(one) for one in as_list(content["sessions"]))
        status, finished = as_text(content["status"]), as_text(content["finished"])
    if layout != FORMAT:
        raise InputError(
            f"{folder} has layout {layout}, but this version reads layout {FORMAT}; "
            "use the version of xai-detect that wrote it"
        )
    records = read_records(folder, header.class_names)
    return Run(folder, header, status, sessions, finished, failed, records)


def read_records(folder: Path, class_names: tuple[str, ...]) -> tuple[Record, ...]:
    """The finished images of a run, in the order of their sources.

    Raises:
        InputError: If a record is damaged.
    """
    records = [
        record_from_json(read_json(inside(folder, one)), class_names, one)
        for one in (folder / "records").glob("[!.]*.json")
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
