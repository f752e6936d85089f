"""Writing a run folder: every image whole or not at all, and resumable at any point.

    run.json           what was run, on what, with what result; names the files that failed
    records/<n>.json   one image: detections, evidence, verdicts; written last of its files
    maps/<n>.npz       its signed maps in image pixels
    views/<n>.png      the image with its boxes; <n>.<row>.png one detection;
                       <n>.clean.png the image untouched
    detections.json    COCO results with verdict and evidence
    evidence.parquet   a row per detection
    report.html        for people

``<n>`` is made from the source's name and a digest of its whole path, so that files of the same
name never collide. A source is done when its record is there.
"""

import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from xai_detect.errors import InputError
from xai_detect.output.drawing import views as render
from xai_detect.output.folder.header import Header, header_to_json
from xai_detect.output.folder.load import FORMAT, MANIFEST, Run, load_run, read_records
from xai_detect.output.folder.pixels import encode_maps, encode_png, image_sha256, quantised
from xai_detect.output.folder.records import file_name, record_to_json
from xai_detect.output.report import page as report
from xai_detect.output.tables import coco_table, evidence_table, parquet
from xai_detect.values.files import PART, write_bytes
from xai_detect.values.findings import Inspection
from xai_detect.values.json import plain, write_json

_PACKAGES = (
    "xai-detect",
    "torch",
    "torchvision",
    "ultralytics",
    "captum",
    "opencv-python",
    "numpy",
)


class RunWriter:
    """A run folder that is being filled; get one from ``open_run``.

    Attributes:
        folder: Where it lies.
        header: What all images have in common.
    """

    def __init__(self, folder: Path, header: Header, command: str, before: Run | None) -> None:
        self.folder = folder
        self.header = header
        self._images = {one.source: one.image_sha256 for one in before.records} if before else {}
        self._failed = dict(before.failed) if before else {}
        self._sessions = [*(before.sessions if before else ()), _session(command)]
        self._write_manifest("running", "")

    @property
    def done(self) -> frozenset[str]:
        """Sources that need no further work."""
        return frozenset(self._images)

    @property
    def failed(self) -> Mapping[str, str]:
        """Reason by source."""
        return dict(self._failed)

    def add(self, inspection: Inspection) -> None:
        """Write one image; when this returns, it is safe.

        Raises:
            InputError: If it was made by another detector or method, its name already stands for
                another image, or the disk refuses.
        """
        self._check(inspection)
        name = file_name(inspection.source)
        array = quantised(inspection.image)
        digest = image_sha256(array)
        if self._images.get(inspection.source, digest) != digest:
            raise InputError(
                f"{self.folder} already holds another image named {inspection.source!r}; "
                "give this one another source, or choose another folder"
            )
        size = inspection.detections.image_size
        heatmaps = [one.heatmap for one in inspection.explanations]
        write_bytes(self.folder / "maps" / f"{name}.npz", encode_maps(heatmaps, size))
        views = self.folder / "views"
        write_bytes(views / f"{name}.clean.png", encode_png(array))
        write_bytes(views / f"{name}.png", encode_png(render.overview(inspection)))
        for row in range(len(inspection.detections)):
            write_bytes(views / f"{name}.{row}.png", encode_png(render.view(inspection, row)))
        write_json(self.folder / "records" / f"{name}.json", record_to_json(inspection, digest))
        self._images[inspection.source] = digest
        self._failed.pop(inspection.source, None)

    def fail(self, source: str, reason: str) -> None:
        """Note that a file could not be inspected; a later start tries it again."""
        self._failed[source] = " ".join(reason.split())
        self._write_manifest("running", "")

    def finish(self, status: str = "done") -> Run:
        """Assemble tables, report and manifest from everything in the folder.

        Args:
            status: ``done``, or ``interrupted`` if more images were to come.

        Raises:
            InputError: If the disk refuses; what was added before is kept.
        """
        run = Run(
            folder=self.folder,
            header=self.header,
            status=status,
            sessions=tuple(self._sessions),
            finished=_now(),
            failed=self.failed,
            records=read_records(self.folder, self.header.class_names),
        )
        write_json(self.folder / "detections.json", coco_table(run.records), indent=1)
        write_bytes(self.folder / "evidence.parquet", parquet(evidence_table(run.records)))
        report.write_report(run)
        for left in self.folder.glob(f"**/.*{PART}"):
            left.unlink(missing_ok=True)
        self._write_manifest(status, run.finished)
        return run

    def _check(self, inspection: Inspection) -> None:
        header = self.header
        if inspection.provenance != header.provenance:
            raise InputError(
                f"{inspection.source} was inspected by {inspection.provenance.name}, "
                f"but {self.folder} holds what {header.provenance.name} found"
            )
        if inspection.detections.class_names != header.class_names:
            raise InputError(f"{inspection.source} has other classes than the run {self.folder}")
        for one in inspection.explanations:
            if one.method != header.method or plain(one.settings) != plain(header.settings):
                raise InputError(
                    f"{inspection.source} was explained by {one.method} with other settings than "
                    f"the run {self.folder}; use another folder"
                )

    def _write_manifest(self, status: str, finished: str) -> None:
        content = {
            "format": FORMAT,
            "status": status,
            "finished": finished,
            "sessions": self._sessions,
            **header_to_json(self.header),
            "done": [{"source": one, "name": file_name(one)} for one in sorted(self._images)],
            "failed": [{"source": one, "reason": why} for one, why in self._failed.items()],
        }
        write_json(self.folder / MANIFEST, content, indent=1)


def open_run(folder: str | Path, header: Header, command: str = "") -> RunWriter:
    """Start a run folder, or go on with one of the same detector, method and settings.

    Args:
        folder: A new or empty folder, or one that this function made before.
        header: What all images will have in common.
        command: What the user typed, for the record.

    Raises:
        InputError: If the folder holds another run or other files, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the run needs a folder")
    if (folder / MANIFEST).exists():
        before = load_run(folder)
        differences = _differences(header_to_json(before.header), header_to_json(header))
        if differences:
            raise InputError(
                f"{folder} belongs to another run ({'; '.join(differences)}); choose another folder"
            )
        return RunWriter(folder, header, command, before)
    if folder.exists() and any(not one.name.endswith(PART) for one in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run; choose a new or empty folder")
    return RunWriter(folder, header, command, None)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    for key in new:
        before, now = old.get(key), new[key]
        if before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            found += [
                f"{key} {one}: {before.get(one)} there, {now.get(one)} here"
                for one in sorted(before.keys() | now.keys())
                if before.get(one) != now.get(one)
            ]
        elif isinstance(now, list):
            found.append(f"{key}: {len(before or ())} there, {len(now)} other ones here")
        else:
            found.append(f"{key}: {before} there, {now} here")
    return found


def save(inspections: Iterable[Inspection], folder: str | Path) -> Run:
    """Write inspections into a run folder, with views, tables and report.

    Args:
        inspections: All by the same detector and method.
        folder: A new or empty folder, or one with a run of the same detector and method.

    Raises:
        InputError: If there are none, they differ in detector or method, two have the same
            source, or the folder belongs to another run.
    """
    known = list(inspections)
    if not known:
        raise InputError("there is nothing to save; pass at least one inspection")
    sources = [one.source for one in known]
    twice = next((one for one in sources if sources.count(one) > 1), None)
    if twice is not None:
        raise InputError(f"two inspections have the source {twice!r}; give each its own")
    explained = next((one for each in known for one in each.explanations), None)
    header = Header(
        provenance=known[0].provenance,
        class_names=known[0].detections.class_names,
        method=explained.method if explained else "",
        settings=explained.settings if explained else {},
    )
    run = open_run(folder, header, command="xai_detect.save")
    for inspection in known:
        run.add(inspection)
    return run.finish()


def _session(command: str) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    versions["torch"] = torch.__version__  # with its build, which the package's name leaves out
    return {"started": _now(), "command": command, "versions": versions}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
