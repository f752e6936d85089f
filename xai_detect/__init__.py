"""Explain object detectors and say which detections the evidence supports.

The way through: ``load_detector``, ``load_image``, ``detect``, ``explain``, ``weigh``, ``judge``;
``inspect`` does all of it, ``save`` writes a run folder and ``load_run`` reads it back.
"""

from xai_detect.data.read import read_dataset
from xai_detect.detectors.classifier_load import (
    build_classifier,
    load_classifier,
    save_classifier,
)
from xai_detect.detectors.load import load_detector
from xai_detect.errors import XaiDetectError
from xai_detect.evaluation import evaluate
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS
from xai_detect.images import load_image
from xai_detect.inspection import detect, inspect
from xai_detect.output.interop import (
    from_coco_results,
    from_torchvision,
    from_ultralytics,
    to_coco_results,
    to_supervision,
)
from xai_detect.output.load import load_run
from xai_detect.output.run import save
from xai_detect.trust.evidence import weigh
from xai_detect.trust.policy import read_policy
from xai_detect.trust.verdict import judge
from xai_detect.types import (
    Detections,
    Evidence,
    Explanation,
    Inspection,
    Level,
    Target,
    Verdict,
)

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Detections",
    "Evidence",
    "Explanation",
    "Inspection",
    "Level",
    "Target",
    "Verdict",
    "XaiDetectError",
    "build_classifier",
    "detect",
    "evaluate",
    "explain",
    "from_coco_results",
    "from_torchvision",
    "from_ultralytics",
    "inspect",
    "judge",
    "load_classifier",
    "load_detector",
    "load_image",
    "load_run",
    "read_dataset",
    "read_policy",
    "save",
    "save_classifier",
    "to_coco_results",
    "to_supervision",
    "weigh",
]
