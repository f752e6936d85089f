"""What the run folder says about one image, to JSON and back.

Everything read back is checked like any other input: a run folder may come from a stranger.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch

from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Target
from xai_detect.values.findings import Evidence, Inspection, Level, Reason, Verdict
from xai_detect.values.images import MAX_PIXELS
from xai_detect.values.json import (
    Json,
    as_box,
    as_id,
    as_list,
    as_mapping,
    as_number,
    as_numbers,
    as_text,
    as_whole,
    damaged,
    number,
    numbers_to_json,
    plain,
)
from xai_detect.values.truth import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One image of a run, without its pixels and maps.

    Attributes:
        name: What its files in the run folder are called.
        source: The file it came from, or a name the caller gave.
        image_sha256: Digest of the pixels.
        detections: What the detector found.
        targets: The questions asked, one per detection.
        methods: Per detection, the method that explained it.
        settings: Per detection, the method's hyper-parameters.
        measured: Per detection, what the method measured on the way.
        content_sizes: Per detection, ``(height, width)`` at which the network saw the image when it
            was explained; None where that is not known.
        evidence: The numbers per target.
        verdicts: The judgement per target.
        outcome: Comparison with annotations; None if there are none.
        image_id: The data set's own id of the image; None if no data set names it.
        file_sha256: Digest of the file it was read from; empty if there was none.
    """

    name: str
    source: str
    image_sha256: str
    detections: Detections
    targets: tuple[Target, ...]
    methods: tuple[str, ...]
    settings: tuple[Mapping[str, object], ...]
    measured: tuple[Mapping[str, float], ...]
    content_sizes: tuple[Size | None, ...]
    evidence: tuple[Evidence, ...]
    verdicts: tuple[Verdict, ...]
    outcome: Outcome | None
    image_id: int | str | None
    file_sha256: str


def file_name(source: str) -> str:
    """A name for an image's files: readable, safe on any disk, different for every source."""
    stem = PurePath(source.replace("\\", "/")).stem
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:60].strip("_") or "image"
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{readable}-{digest}"


def verdict_to_json(verdict: Verdict) -> dict[str, Json]:
    """A verdict with its reasons."""
    return {
        "level": verdict.level.value,
        "sentence": verdict.sentence,
        "reasons": [
            {
                "check": reason.check,
                "value": number(reason.value),
                "limit": number(reason.limit),
                "sentence": reason.sentence,
            }
            for reason in verdict.reasons
        ],
        "unmeasured": list(verdict.unmeasured),
    }


def record_to_json(
    inspection: Inspection,
    image_sha256: str,
    image_id: int | str | None = None,
    file_sha256: str = "",
) -> dict[str, Json]:
    """Everything about one image except its pixels and maps."""
    found = inspection.detections
    rows = zip(
        found,
        inspection.targets,
        inspection.explanations,
        inspection.evidence,
        inspection.verdicts,
        strict=True,
    )
    return {
        "source": inspection.source,
        "image_id": image_id,
        "image_sha256": image_sha256,
        "file_sha256": file_sha256,
        "image_size": list(found.image_size),
        "detections": [
            {
                "box": list(own.box),
                "label": own.label,
                "class": own.name,
                "score": own.score,
                "candidate": own.candidate,
                "proposal": list(own.proposal),
                "target": _target_to_json(target),
                "method": explanation.method,
                "settings": plain(explanation.settings),
                "measured": numbers_to_json(explanation.measured),
                "content_size": _size_to_json(explanation.content_size),
                "evidence": numbers_to_json(evidence),
                "words": plain(evidence.words),
                "verdict": verdict_to_json(verdict),
            }
            for own, target, explanation, evidence, verdict in rows
        ],
        "outcome": outcome_to_json(inspection.outcome),
    }


def outcome_to_json(outcome: Outcome | None) -> dict[str, Json] | None:
    """A comparison with annotations; None where there is none."""
    if outcome is None:
        return None
    return {
        "right": list(outcome.right),
        "missed": [{"class": name, "box": list(box)} for name, box in outcome.missed],
    }


def _target_to_json(target: Target) -> dict[str, Json]:
    return {
        "box": list(target.box),
        "label": target.label,
        "class": target.name,
        "score": number(target.score),
        "candidate": target.candidate,
        "proposal": list(target.proposal),
    }


def record_from_json(content: object, class_names: tuple[str, ...], path: Path) -> Record:
    """Read one image's record back; its name is that of the file it lies in.

    Raises:
        InputError: If something is missing, of another kind, or impossible.
    """
    with damaged(path):
        known = as_mapping(content)
        rows = [as_mapping(row) for row in as_list(known["detections"])]
        height, width = (as_whole(side) for side in as_list(known["image_size"]))
        if height < 1 or width < 1 or height * width > MAX_PIXELS:
            raise ValueError(f"an image of {height} x {width} pixels")
        detections = Detections(
            boxes=torch.tensor([as_box(row["box"]) for row in rows]).reshape(-1, 4),
            scores=torch.tensor([as_number(row["score"]) for row in rows], dtype=torch.float32),
            labels=torch.tensor([as_whole(row["label"]) for row in rows], dtype=torch.int64),
            candidates=torch.tensor(
                [as_whole(row["candidate"]) for row in rows], dtype=torch.int64
            ),
            proposals=torch.tensor([as_box(row["proposal"]) for row in rows]).reshape(-1, 4),
            image_size=(height, width),
            class_names=class_names,
        )
        return Record(
            name=path.stem,
            source=as_text(known["source"]),
            image_sha256=as_text(known["image_sha256"]),
            detections=detections,
            targets=tuple(_target(row["target"], class_names) for row in rows),
            methods=tuple(as_text(row["method"]) for row in rows),
            settings=tuple(as_mapping(row["settings"]) for row in rows),
            measured=tuple(as_numbers(row["measured"]) for row in rows),
            content_sizes=tuple(_content_size(row.get("content_size")) for row in rows),
            evidence=tuple(_evidence(row) for row in rows),
            verdicts=tuple(_verdict(row["verdict"]) for row in rows),
            outcome=_outcome(known["outcome"], len(rows)),
            image_id=None if known["image_id"] is None else as_id(known["image_id"]),
            file_sha256=as_text(known["file_sha256"]),
        )


def _size_to_json(size: Size | None) -> list[int] | None:
    return None if size is None else list(size)


def _content_size(content: object) -> Size | None:
    if content is None:  # not known, or a record from before it was kept
        return None
    height, width = map(as_whole, as_list(content))
    if height < 1 or width < 1:
        raise ValueError(f"a network that saw {height} x {width} pixels")
    return height, width


def _outcome(content: object, count: int) -> Outcome | None:
    if content is None:
        return None
    known = as_mapping(content)
    answers = as_list(known["right"])
    right = tuple(answer for answer in answers if answer is None or isinstance(answer, bool))
    if not len(answers) == len(right) == count:
        raise ValueError(f"{len(answers)} outcomes for {count} detections")
    rows = map(as_mapping, as_list(known["missed"]))
    return Outcome(right, tuple((as_text(row["class"]), as_box(row["box"])) for row in rows))


def _target(content: object, class_names: tuple[str, ...]) -> Target:
    known = as_mapping(content)
    label = as_whole(known["label"])
    if not 0 <= label < len(class_names):
        raise ValueError(f"label {label} of {len(class_names)} classes")
    return Target(
        box=as_box(known["box"]),
        label=label,
        score=as_number(known["score"]),
        candidate=as_whole(known["candidate"]),
        class_names=class_names,
        proposal=as_box(known["proposal"]),
    )


def _evidence(row: Mapping[str, object]) -> Evidence:
    words = {as_text(key): as_text(word) for key, word in as_mapping(row["words"]).items()}
    return Evidence(as_numbers(row["evidence"]), words)


def _verdict(content: object) -> Verdict:
    known = as_mapping(content)
    reasons = tuple(
        Reason(
            check=as_text(reason["check"]),
            value=as_number(reason["value"]),
            limit=as_number(reason["limit"]),
            sentence=as_text(reason["sentence"]),
        )
        for reason in map(as_mapping, as_list(known["reasons"]))
    )
    unmeasured = tuple(as_text(name) for name in as_list(known["unmeasured"]))
    return Verdict(Level(as_text(known["level"])), reasons, unmeasured)
