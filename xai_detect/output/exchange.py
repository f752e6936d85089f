"""To and from the records of other libraries; none of them is needed to import this module."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xai_detect.errors import InputError, MissingExtraError
from xai_detect.output.category_ids import category_ids_of
from xai_detect.output.folder.judged import asked_to_json, judged_to_json
from xai_detect.output.folder.records import Record
from xai_detect.trust.maps import SHARES_OF
from xai_detect.values.boxes import Size
from xai_detect.values.detections import UNKNOWN, Detections
from xai_detect.values.files import replacing
from xai_detect.values.findings import Inspection
from xai_detect.values.json import Json, as_box, as_mapping, as_number, number, read_json

DETECTIONS_FORMAT = 1
"""Version of a row's form in ``detections.json``; run folders record it, the schema names it."""

SCHEMA = Path(__file__).with_name("detections.schema.json")
"""What ``detections.json`` holds, as a JSON Schema."""


def to_supervision(found: Inspection | Detections) -> Any:
    """A ``supervision.Detections``; of an inspection, verdict and evidence go into ``.data``.

    ``.data`` holds ``class_name`` and, of an inspection, ``verdict`` (the level), ``reason``,
    ``sentence`` and one float array per kind of evidence; NaN is unmeasured.

    Raises:
        MissingExtraError: If supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise MissingExtraError(
            "to_supervision needs the supervision package: pip install 'xai-detect[supervision]'"
        ) from error
    detections = found.detections if isinstance(found, Inspection) else found
    data: dict[str, np.ndarray] = {
        "class_name": np.array([target.name for target in detections], dtype=str),
    }
    if isinstance(found, Inspection):
        data["verdict"] = np.array([verdict.level.value for verdict in found.verdicts], dtype=str)
        data["reason"] = np.array([verdict.reason.value for verdict in found.verdicts], dtype=str)
        data["sentence"] = np.array([verdict.sentence for verdict in found.verdicts], dtype=str)
        for name in dict.fromkeys(name for numbers in found.evidence for name in numbers):
            data[name] = np.array([numbers.get(name, math.nan) for numbers in found.evidence])
    return supervision.Detections(
        xyxy=detections.boxes.numpy().copy(),
        confidence=detections.scores.numpy().copy(),
        class_id=detections.labels.numpy().astype(int),
        data=data,
    )


def from_ultralytics(results: object) -> Detections:
    """Detections of an ultralytics ``Results`` object, best first.

    Which raw prediction each box came from is not recorded there, so ``candidates`` is -1: such
    detections can be counted and compared, but not explained by gradients.

    Raises:
        InputError: If the object holds no boxes.
    """
    boxes = getattr(results, "boxes", None)
    names = getattr(results, "names", None)
    size = getattr(results, "orig_shape", None)
    if boxes is None or names is None or size is None:
        raise InputError(
            f"a {type(results).__name__} holds no detections; "
            "expected one item of what an ultralytics detection model returns"
        )
    listed = dict(enumerate(names)) if not isinstance(names, Mapping) else names
    class_names = tuple(
        str(listed.get(label, f"class {label}")) for label in range(max(listed, default=-1) + 1)
    )
    return _detections(
        _tensor(boxes.xyxy), _tensor(boxes.conf), _tensor(boxes.cls), tuple(size[:2]), class_names
    )


def from_torchvision(
    result: Mapping[str, Tensor], class_names: Sequence[str], image_size: Size
) -> Detections:
    """Detections of a torchvision dictionary with ``boxes``, ``scores`` and ``labels``.

    Args:
        result: What a torchvision detection model returns for one image.
        class_names: The classes without the background: the name of label 1 first.
        image_size: ``(height, width)`` of the image.

    Raises:
        InputError: If a key is missing or a label has no name.
    """
    missing = {"boxes", "scores", "labels"} - result.keys()
    if missing:
        raise InputError(f"the dictionary lacks {', '.join(sorted(missing))}")
    labels = _tensor(result["labels"])
    if labels.numel() and float(labels.min()) < 1:
        raise InputError("torchvision's labels start at 1, 0 is the background; a label is below 1")
    return _detections(
        _tensor(result["boxes"]),
        _tensor(result["scores"]),
        labels - 1,
        image_size,
        tuple(class_names),
    )


def to_coco_results(
    found: Inspection | Record | Detections,
    image_id: int | str,
    category_ids: Sequence[int | str] | None = None,
) -> list[dict[str, Json]]:
    """Rows in COCO results format; of an inspection, with what was found out about each.

    That is the verdict, its probability and reason, the answers of the tests, and where the
    evidence of both maps lies; null is unmeasured. ``detections.schema.json``, beside this module,
    describes a row.

    Args:
        found: What was found in one image.
        image_id: The image's id in the annotations.
        category_ids: The id of each class, in label order; by default COCO's own ids if the
            classes are COCO's 80, else label + 1.

    Raises:
        InputError: If there are not as many ids as classes.
    """
    detections = found if isinstance(found, Detections) else found.detections
    ids = category_ids_of(detections.class_names, category_ids)
    rows: list[dict[str, Json]] = [
        {
            "image_id": image_id,
            "category_id": ids[own.label],
            "category": own.name,
            "bbox": [own.box[0], own.box[1], own.box[2] - own.box[0], own.box[3] - own.box[1]],
            "score": own.score,
        }
        for own in detections
    ]
    if isinstance(found, Detections):
        return rows
    for row, verdict, evidence, asked in zip(
        rows, found.verdicts, found.evidence, found.asked, strict=True
    ):
        row |= {**judged_to_json(verdict, evidence), "asked": asked_to_json(asked)}
        row["shares"] = {
            kind: {name: number(evidence.get(f"{kind}_{name}", math.nan)) for name in SHARES_OF}
            for kind in ("detected", "class")
        }
    return rows


def write_coco_results(
    path: Path,
    found: Iterable[tuple[int | str, Detections]],
    category_ids: Sequence[int | str] | None = None,
) -> None:
    """Write COCO results, a row a line: the form in which any COCO tool scores them.

    Args:
        path: The file to write.
        found: Image id and detections of each image; read one at a time.
        category_ids: As in ``to_coco_results``.

    Raises:
        InputError: If there are not as many ids as classes, or the disk refuses.
    """
    rows = (
        json.dumps(row, allow_nan=False)
        for image_id, detections in found
        for row in to_coco_results(detections, image_id, category_ids)
    )
    with replacing(path) as stream:
        stream.write(b"[")
        for number, row in enumerate(rows):
            stream.write((",\n" if number else "\n").encode() + row.encode("ascii"))
        stream.write(b"\n]\n")


def from_coco_results(
    source: str | Path | Sequence[Mapping[str, Json]],
    class_names: tuple[str, ...],
    image_sizes: Mapping[int | str, Size],
    category_ids: Sequence[int | str] | None = None,
) -> dict[int | str, Detections]:
    """Read COCO results: detections per image id, best first.

    Args:
        source: A JSON file or its content.
        class_names: The classes in label order.
        image_sizes: ``(height, width)`` by image id; an image without results comes out empty.
        category_ids: As in ``to_coco_results``.

    Raises:
        InputError: If a row names an unknown image or category, its box or score is impossible, or
            there is not one id of its own for each class.
    """
    label_by_id: dict[object, int] = {
        category: label for label, category in enumerate(category_ids_of(class_names, category_ids))
    }
    if len(label_by_id) < len(class_names):
        raise InputError("two classes have the same category id, so rows cannot be told apart")
    listed = read_json(Path(source)) if isinstance(source, str | Path) else source
    found: dict[int | str, list[tuple[list[float], float, int]]] = {
        image_id: [] for image_id in image_sizes
    }
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InputError("COCO results are a list of rows; this is something else")
    for place, row in enumerate(listed):
        try:
            image_id, box, score, label = _coco_row(row, label_by_id)
            found[image_id].append((box, score, label))
        except KeyError as error:
            raise InputError(
                f"row {place} of the results: {error} is missing or unknown"
            ) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"row {place} of the results: {error}") from error
    return {
        image_id: _detections(
            _tensor([box for box, _, _ in rows]),
            _tensor([score for _, score, _ in rows]),
            _tensor([label for _, _, label in rows]),
            image_sizes[image_id],
            class_names,
        )
        for image_id, rows in found.items()
    }


def _coco_row(
    content: object, label_by_id: Mapping[object, int]
) -> tuple[int | str, list[float], float, int]:
    row = as_mapping(content)
    left, top, width, height = as_box(row["bbox"])
    score = as_number(row["score"])
    if not all(map(math.isfinite, (left, top, width, height, score))):
        raise ValueError("a box or score that is not finite")
    if width < 0 or height < 0:
        raise ValueError(f"bbox is [left, top, width, height], but its size is {width} x {height}")
    if not 0 <= score <= 1:
        raise ValueError(f"score {score} lies outside [0, 1]")
    image_id = row["image_id"]
    if not isinstance(image_id, int | str):
        raise TypeError("image_id is neither a number nor text")
    return (
        image_id,
        [left, top, left + width, top + height],
        score,
        label_by_id[row["category_id"]],
    )


def _tensor(values: object) -> Tensor:
    return torch.as_tensor(values).detach().to("cpu", torch.float32)


def _detections(
    boxes: Tensor, scores: Tensor, labels: Tensor, size: Size, class_names: tuple[str, ...]
) -> Detections:
    """Checked, cut to the image and sorted, best first; equal scores keep their order."""
    boxes, scores, labels = boxes.reshape(-1, 4), scores.flatten(), labels.flatten()
    if not len(boxes) == len(scores) == len(labels):
        raise InputError(f"{len(boxes)} boxes, {len(scores)} scores and {len(labels)} labels")
    order = scores.argsort(descending=True, stable=True)
    height, width = int(size[0]), int(size[1])
    limit = torch.tensor([width, height, width, height], dtype=torch.float32)
    boxes = boxes[order].clamp(min=0).minimum(limit)
    return Detections(
        boxes=boxes,
        scores=scores[order],
        labels=labels[order].to(torch.int64),
        candidates=torch.full((len(boxes),), UNKNOWN, dtype=torch.int64),
        proposals=boxes,
        image_size=(height, width),
        class_names=class_names,
    )
