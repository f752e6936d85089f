"""One image after the other: looked at together, judged alone, kept in a run folder."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from xai_detect.batch.given import Item
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import XaiDetectError
from xai_detect.evaluation.evaluate import Inspector
from xai_detect.evaluation.lookalikes import with_lookalikes
from xai_detect.evaluation.outcomes import GroundTruth, outcome
from xai_detect.evaluation.parts import parts_found
from xai_detect.inspection.ahead import BATCH, Seen, look_ahead
from xai_detect.output.folder.load import read_inspection
from xai_detect.output.folder.pixels import image_sha256, quantised
from xai_detect.output.folder.records import Record
from xai_detect.output.writer import RunWriter
from xai_detect.values.files import file_sha256
from xai_detect.values.findings import Inspection
from xai_detect.values.truth import Scan

Found = Inspection | Record | XaiDetectError
"""What became of an image: inspected now, held by the run already, or what is wrong with it."""


def inspect_each(
    detector: Detector,
    items: Iterable[Item],
    inspector: Inspector,
    confidence: float,
    run: RunWriter | None = None,
    *,
    held: Mapping[Path, str] | None = None,
    truth: GroundTruth | None = None,
    batch: int = BATCH,
) -> Iterator[tuple[Item, Found]]:
    """Inspect images in order, each when it is asked for; bad ones are passed over.

    Args:
        detector: The detector.
        items: The images; taken as they are needed.
        inspector: Judges what was found in an image.
        confidence: Detections at or below it are dropped.
        run: Where results go; what it holds already is only held against the annotations again.
        held: The source under which the run holds a file, from ``run.recognise(sources)``. What is
            not named there is held if the run has it unchanged under its own name.
        truth: Annotations to compare with; only where there is a run.
        batch: Images that are read before they are looked at together.

    Yields:
        Each image and what became of it.

    Raises:
        InputError: If the run folder cannot be written; what was written stays.
    """
    if run is None:
        for item, seen in look_ahead(detector, items, Item.read, confidence, batch=batch):
            if seen is not None:
                yield item, _judged(item, seen, inspector)
        return
    reader = _Reader(run, held or {})
    for item, seen in look_ahead(detector, items, reader, confidence, batch=batch):
        scan = None if truth is None or item.path is None else truth.scan(item.path)
        if seen is None:
            _compare_again(run, reader.held(item), item.name, truth, scan)
            yield item, run.record(item.name)
            continue
        found = _judged(item, seen, inspector)
        if isinstance(found, XaiDetectError):
            run.fail(item.name, str(found))
        else:
            if truth is not None and scan is not None and isinstance(seen, Seen):
                found = _compared(found, truth, scan, run.header.lang)
                found = with_lookalikes(found, truth, detector, seen.placed, run.header.lang)
            number = None if scan is None else scan.image_id
            run.add(found, image_id=number, file_sha256=reader.digest(item), anew=True)
        yield item, found


class _Reader:
    """Reads the images that a run does not hold yet."""

    def __init__(self, run: RunWriter, held: Mapping[Path, str]) -> None:
        self._run = run
        self._held = held
        self._digests: dict[str, str] = {}

    def __call__(self, item: Item) -> Float[Tensor, "3 h w"] | None:
        """The image; None if the run holds it."""
        record = self._run.record(item.name) if item.name in self._run.done else None
        if item.path is None:
            image = item.read()
            there = record is not None and record.image_sha256 == image_sha256(quantised(image))
            return None if there else image
        if item.path in self._held:
            return None
        digest = file_sha256(item.path)  # before it is read: a file that changes is read again
        if record is not None and record.file_sha256 == digest != "":
            return None
        self._digests[item.name] = digest
        return item.read()

    def held(self, item: Item) -> str:
        """The source under which the run holds an image."""
        return item.name if item.path is None else self._held.get(item.path, item.name)

    def digest(self, item: Item) -> str:
        """That of the file that was read; empty where there was none."""
        return self._digests.pop(item.name, "")


def _judged(
    item: Item, seen: Seen | XaiDetectError, inspector: Inspector
) -> Inspection | XaiDetectError:
    if isinstance(seen, XaiDetectError):
        return seen
    try:
        return inspector(seen.placed, item.name, seen.detections, seen.whole)
    except XaiDetectError as error:
        return error


def _compare_again(
    run: RunWriter, source: str, now: str, truth: GroundTruth | None, scan: Scan | None
) -> None:
    """Bring a held image up to date: its file may have been moved, its annotations corrected."""
    record = run.record(source)
    if truth is None or scan is None:
        run.revise(record, now, None, None)
        return
    parts = record.parts
    if any(item.parts for item in scan.items):
        inspection = read_inspection(run.folder, run.header.provenance, record)
        parts = parts_found(truth, scan, inspection, run.header.lang)
    compared = outcome(truth, scan, record.detections)
    run.revise(record, now, scan.image_id, compared, parts)


def _compared(inspection: Inspection, truth: GroundTruth, scan: Scan, language: str) -> Inspection:
    """An inspection held against the annotations of its image."""
    found = outcome(truth, scan, inspection.detections)
    parts = parts_found(truth, scan, inspection, language)
    return replace(inspection, outcome=found, parts=parts)
