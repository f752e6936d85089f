"""COCO ``instances_*.json`` written from the one form that data sets are read into."""

from pathlib import Path

from xai_detect.data import parts
from xai_detect.data.records import Dataset
from xai_detect.values.json import Json, write_json
from xai_detect.values.truth import Item


def _parts_of(item: Item) -> dict[str, Json]:
    return {part.name: parts.part_to_coco(part) for part in item.parts}


def write_coco(dataset: Dataset, path: Path) -> None:
    """Write the annotations as COCO JSON; images stay where they are.

    Regions for all classes have no form in COCO and become one crowd per class. Annotations keep
    their ids where each has one of its own, else they are numbered.

    Raises:
        InputError: If the file cannot be written.
    """
    annotations: list[dict[str, Json]] = []
    for scan in dataset.scans:
        for item in scan.items:
            x1, y1, x2, y2 = item.box
            ids = dataset.class_ids if item.label is None else (dataset.class_ids[item.label],)
            annotations += [
                {
                    "id": item.source_id,
                    "image_id": scan.image_id,
                    "category_id": class_id,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": item.area,
                    "iscrowd": int(item.crowd),
                    "ignore": int(item.difficult),
                    **({"parts": _parts_of(item)} if item.parts else {}),
                }
                for class_id in ids
            ]
    kept = {row["id"] for row in annotations} - {None}
    if len(kept) < len(annotations):
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
    content: dict[str, Json] = {
        "images": [
            {
                "id": scan.image_id,
                "file_name": scan.name,
                "height": scan.size[0],
                "width": scan.size[1],
                **({"case": scan.case} if scan.case else {}),
            }
            for scan in dataset.scans
        ],
        "categories": [
            {"id": class_id, "name": name}
            for class_id, name in zip(dataset.class_ids, dataset.class_names, strict=True)
        ],
        "annotations": annotations,
    }
    write_json(path, content)
