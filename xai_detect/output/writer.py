"""The one writer of a run folder: every image whole or not at all.

    run.json           what was run, on what, with what result; names the files that failed
    failed.jsonl       files that failed since run.json was written; gone when the run is finished
    records/<n>.json   one image: detections, evidence, verdicts; written last of its files
    maps/<n>.npz       its signed maps, in at most 160 cells a side
    pictures/<n>.webp  the image as large as the network saw it; <n>.<row>.<map>.svg the marks of
                       a detection, <n>.<row>.<map>.webp its heat, to lie over the image
                       <n>.<row>.alike.webp it beside the most similar confirmed ones
    images/<n>.png     its untouched pixels, if they came from no file or copies are wanted
    detections.json    COCO results with verdict and evidence, as detections.schema.json says
    evidence.parquet   a row per detection; evidence.csv the same for spreadsheets
    report.html        for people
    .lock              held by the writer while it is at work

``<n>`` is made from the source's name and a digest of its whole path, so that files of the same
name never collide. A source is done when its record is there.
"""

import json
from collections.abc import Mapping, Sequence
from glob import escape
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from xai_detect.errors import InputError
from xai_detect.output.drawing import panels, vector
from xai_detect.output.drawing.alike import strip
from xai_detect.output.exchange import DETECTIONS_FORMAT
from xai_detect.output.folder.header import Header, header_to_json
from xai_detect.output.folder.judged import maps_of
from xai_detect.output.folder.load import (
    FAILURES,
    FORMAT,
    MANIFEST,
    Run,
    read_record,
    read_records,
)
from xai_detect.output.folder.outcomes import outcome_to_json, parts_to_json
from xai_detect.output.folder.pictures import BARE, encode_picture, encode_webp
from xai_detect.output.folder.pixels import encode_maps, encode_png, image_sha256, quantised
from xai_detect.output.folder.recognise import recognised
from xai_detect.output.folder.records import Record, file_name, record_to_json
from xai_detect.output.report import page as report
from xai_detect.output.sessions import now, session
from xai_detect.output.tables import coco_table, evidence_table, image_ids, parquet, spreadsheet
from xai_detect.values.files import PART, FolderLock, append_line, write_bytes
from xai_detect.values.findings import Inspection, PartsFound
from xai_detect.values.json import as_mapping, plain, read_json, write_json
from xai_detect.values.truth import Outcome
from xai_detect.words.catalogue import spoken


class _Held(NamedTuple):
    """What the folder holds of one source."""

    name: str
    image_sha256: str
    file_sha256: str
    image_id: int | str | None


class RunWriter:
    """A run folder that is being filled; get one from ``open_run``.

    It is the folder's only writer until it is finished, closed or forgotten.

    Attributes:
        folder: Where it lies.
        header: What all images have in common.
    """

    def __init__(
        self,
        lock: FolderLock,
        folder: Path,
        header: Header,
        command: str,
        before: Run | None,
        copy_images: bool = False,
    ) -> None:
        self.folder = folder
        self._copies = copy_images
        self.header = header
        self._lock = lock
        self._held = {record.source: _held(record) for record in before.records} if before else {}
        self._failed = dict(before.failed) if before else {}
        self._sessions = [*(before.sessions if before else ()), session(command)]
        self._write_manifest("running", "")

    @property
    def done(self) -> frozenset[str]:
        """Sources that the folder holds."""
        return frozenset(self._held)

    @property
    def failed(self) -> Mapping[str, str]:
        """Reason by source."""
        return dict(self._failed)

    def recognise(self, sources: Sequence[Path]) -> dict[Path, str]:
        """The source that each file has here, where the folder holds it; see ``recognised``."""
        return recognised(
            sources, {source: held.file_sha256 for source, held in self._held.items()}
        )

    def record(self, source: str) -> Record:
        """What the folder holds of a source that is ``done``."""
        return read_record(self.folder, self._held[source].name, self.header.class_names)

    def add(
        self,
        inspection: Inspection,
        *,
        image_id: int | str | None = None,
        file_sha256: str = "",
        anew: bool = False,
    ) -> None:
        """Write one image; when this returns, it is safe.

        Args:
            inspection: What was found out.
            image_id: The data set's own id of the image.
            file_sha256: Digest of the file it was read from; without one its pixels are kept.
            anew: Whether it may take the place of another image of the same source.

        Raises:
            InputError: If it was made by another detector or method, its name already stands for
                another image, or the disk refuses.
        """
        self._check(inspection)
        array = quantised(inspection.image)
        new = _Held(self._name(inspection.source), image_sha256(array), file_sha256, image_id)
        known = self._held.get(inspection.source, new)
        if known.image_sha256 != new.image_sha256 and not anew:
            raise InputError(
                f"{self.folder} already holds another image named {inspection.source!r}; "
                "give this one another source, or choose another folder"
            )
        self._forget(inspection.source)
        size = inspection.detections.image_size
        heatmaps = {
            kind: [None if found is None else found.heatmap for found in rows]
            for kind, rows in maps_of(inspection).items()
        }
        write_bytes(self.folder / "maps" / f"{new.name}.npz", encode_maps(heatmaps, size))
        content = next(
            (made.content_size for made in inspection.explanations if made is not None), None
        )
        write_bytes(self.folder / "pictures" / f"{new.name}.webp", encode_picture(array, content))
        if self._copies or not file_sha256:
            write_bytes(self.folder / "images" / f"{new.name}.png", encode_png(array))
        self._draw(inspection, new.name)
        record = record_to_json(inspection, new.image_sha256, image_id, file_sha256)
        write_json(self._record_path(new.name), record)
        self._held[inspection.source] = new
        self._failed.pop(inspection.source, None)

    def revise(
        self,
        record: Record,
        source: str,
        image_id: int | str | None,
        outcome: Outcome | None,
        parts: tuple[PartsFound | None, ...] = (),
    ) -> None:
        """Bring an image that the folder holds up to date: where it lies, what is known about it.

        Another image that the folder holds of the new place is taken out of the run.

        Args:
            record: What the folder holds.
            source: Where the image lies now.
            image_id: The data set's own id of it.
            outcome: How its detections compare with the annotations as they are now.
            parts: Where on its annotated object the evidence for each detection lies.

        Raises:
            InputError: If the disk refuses.
        """
        known = {"parts": parts_to_json(parts)}
        now = (record.source, record.image_id, record.outcome, parts_to_json(record.parts))
        if now == (source, image_id, outcome, known["parts"]):
            return
        if record.source != source:
            self._forget(source)  # the image that lay there is gone: this one took its place
        path = self._record_path(record.name)
        changed = {"source": source, "image_id": image_id, "outcome": outcome_to_json(outcome)}
        write_json(path, {**as_mapping(read_json(path)), **changed, **known})
        del self._held[record.source]
        self._held[source] = _held(record)._replace(image_id=image_id)
        self._failed.pop(source, None)

    def fail(self, source: str, reason: str) -> None:
        """Note that a file could not be inspected; a later start tries it again.

        What was found in another file of that name is given up.
        """
        self._failed[source] = " ".join(reason.split())
        line = json.dumps({"source": source, "reason": self._failed[source]})
        append_line(self.folder / FAILURES, line)
        self._forget(source)

    def finish(self, status: str = "done") -> Run:
        """Assemble tables, report and manifest from everything in the folder, and let it go.

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
            finished=now(),
            failed=self.failed,
            records=read_records(self.folder, self.header.class_names),
        )
        rows = coco_table(run.records, run.header.category_ids)
        write_json(self.folder / "detections.json", rows, indent=1)
        table = evidence_table(run.records)
        write_bytes(self.folder / "evidence.parquet", parquet(table))
        write_bytes(self.folder / "evidence.csv", spreadsheet(table))
        report.write_report(run)
        for left in self.folder.glob(f"**/.*{PART}"):
            left.unlink(missing_ok=True)
        self._write_manifest(status, run.finished)
        self.close()
        return run

    def close(self) -> None:
        """Let others write; what was added is kept."""
        self._lock.close()

    def _name(self, source: str) -> str:
        """What a source's files are called; a moved image may still have the name."""
        if source in self._held:
            return self._held[source].name
        name, taken = file_name(source), {held.name for held in self._held.values()}
        names = chain([name], (f"{name}-{number}" for number in count(2)))
        return next(free for free in names if free not in taken)

    def _record_path(self, name: str) -> Path:
        return self.folder / "records" / f"{name}.json"

    def _draw(self, inspection: Inspection, name: str) -> None:
        """What lies over the image: the marks of each detection, by map, and its heat."""
        pictures, words = self.folder / "pictures", spoken(self.header.lang)
        for row in range(len(inspection.detections)):
            what = panels.scene(inspection, row, words)
            for shown in what.layers or (None,):
                kind = BARE if shown is None else shown.kind
                drawn = vector.marks(what, shown).encode("utf-8")
                write_bytes(pictures / f"{name}.{row}.{kind}.svg", drawn)
                if shown is not None:
                    heat = encode_webp(vector.heat(shown))
                    write_bytes(pictures / f"{name}.{row}.{kind}.webp", heat)
            beside = strip(inspection, row, self.header.lang)
            if beside is not None:
                write_bytes(pictures / f"{name}.{row}.alike.webp", encode_webp(beside))

    def _forget(self, source: str) -> None:
        """Take an image out of the run: its record first, which is what makes it part of it."""
        known = self._held.pop(source, None)
        if known is not None:
            self._record_path(known.name).unlink(missing_ok=True)
            for place in ("maps", "images", "pictures"):
                for file in (self.folder / place).glob(f"{escape(known.name)}.*"):
                    file.unlink(missing_ok=True)

    def _check(self, inspection: Inspection) -> None:
        header = self.header
        if self._lock.closed:
            raise InputError(f"the run {self.folder} is finished; open it again to add to it")
        if inspection.provenance != header.provenance:
            raise InputError(
                f"{inspection.source} was inspected by {inspection.provenance.name}, "
                f"but {self.folder} holds what {header.provenance.name} found"
            )
        if inspection.detections.class_names != header.class_names:
            raise InputError(f"{inspection.source} has other classes than the run {self.folder}")
        for found in inspection.added:
            made = ("", {}) if found is None else (found.method, plain(found.settings))
            if made != (header.method, plain(header.settings)):
                raise InputError(
                    f"{inspection.source} was explained by {made[0] or 'no added method'} with "
                    f"other settings than the run {self.folder}; use another folder"
                )
        for evidence in inspection.evidence:
            budget = evidence.words.get("budget", header.budget)
            if budget != header.budget:
                raise InputError(
                    f"{inspection.source} was inspected at the budget {budget!r}, the run "
                    f"{self.folder} at {header.budget!r}; use another folder"
                )

    def _write_manifest(self, status: str, finished: str) -> None:
        held = sorted(self._held.items())
        ids = image_ids([(entry.name, entry.image_id) for _, entry in held])
        content = {
            "format": FORMAT,
            "detections_format": DETECTIONS_FORMAT,
            "status": status,
            "finished": finished,
            "sessions": self._sessions,
            **header_to_json(self.header),
            "done": [{"source": source, "name": entry.name} for source, entry in held],
            "images": [
                {"id": image_id, "file_name": source}
                for image_id, (source, _) in zip(ids, held, strict=True)
            ],
            "failed": [{"source": source, "reason": why} for source, why in self._failed.items()],
        }
        write_json(self.folder / MANIFEST, content, indent=1)
        (self.folder / FAILURES).unlink(missing_ok=True)


def _held(record: Record) -> _Held:
    return _Held(record.name, record.image_sha256, record.file_sha256, record.image_id)
