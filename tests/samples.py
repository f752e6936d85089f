"""Small inspections whose every number is known, for the tests of what is written and drawn."""

import math

import torch

from xai_detect.values.detections import Detections, Provenance
from xai_detect.values.findings import Evidence, Explanation, Inspection, Level, Reason, Verdict

NAMES = ("zebra", "<b>giraffe</b>")
DETECTOR = Provenance("toy.pt", "ultralytics", "ab" * 32, "photo", "64")
SETTINGS = {"steps": 8, "baseline": "auto", "sizes": (3, 4)}


def spot(size, row, column, side=3, value=1.0):
    heatmap = torch.zeros(size)
    heatmap[row : row + side, column : column + side] = value
    return heatmap


def verdict(level, check="share", sentence="74 % of the evidence lies in the box."):
    return Verdict(level, (Reason(check, 0.74, math.nan, sentence),), ("percentile",))


def inspection(
    source="zoo/zebra.jpg",
    *,
    rows=2,
    size=(40, 60),
    level=Level.TRUSTED,
    check="share",
    heatmaps=None,
    image=None,
    asked=None,
    seed=0,
):
    """An image with ``rows`` detections side by side, the first the most confident."""
    generator = torch.Generator().manual_seed(seed)
    if image is None:
        image = (torch.rand(3, *size, generator=generator) * 255).round() / 255
    lefts = torch.arange(rows, dtype=torch.float32) * 20 + 2
    boxes = torch.stack(
        [lefts, torch.full((rows,), 5.0), lefts + 14, torch.full((rows,), 30.5)], dim=1
    )
    detections = Detections(
        boxes=boxes.reshape(-1, 4),
        scores=torch.tensor([0.9, 0.6, 0.3][:rows]),
        labels=torch.arange(rows) % 2,
        candidates=torch.arange(rows) + 7,
        proposals=boxes.reshape(-1, 4),
        image_size=size,
        class_names=NAMES,
    )
    targets = tuple(one.as_class(asked) if asked else one for one in detections)
    if heatmaps is None:
        heatmaps = [torch.randn(size, generator=generator) * 1e-9 for _ in range(rows)]
    return Inspection(
        source=source,
        image=image,
        detections=detections,
        targets=targets,
        explanations=tuple(
            Explanation(one, target, "integrated_gradients", SETTINGS, {"seconds": 0.5})
            for one, target in zip(heatmaps, targets, strict=True)
        ),
        evidence=tuple(
            Evidence({"inside": 0.74, "chance_inside": 0.06, "ring": math.nan}, {"name": one.name})
            for one in targets
        ),
        verdicts=tuple(verdict(level, check) for _ in targets),
        provenance=DETECTOR,
    )
