from .batch.stream import inspect_many
from .data.read import read_dataset
from .detectors.classifier.files import save_classifier
from .detectors.classifier.load import build_classifier, load_classifier
from .detectors.load import load_detector
from .detectors.match import match_candidates
from .detectors.own.classifier import wrap_classifier
from .detectors.own.function import wrap
from .detectors.own.network import wrap_network
from .detectors.place import place
from .errors import XaiDetectError
from .evaluation.evaluate import evaluate
from .explainers.explain import explain
from .explainers.listing import methods
from .explainers.methods import METHODS
from .inspection.image import detect, inspect
from .output.exchange import (
    from_coco_results,
    from_torchvision,
    from_ultralytics,
    to_coco_results,
    to_supervision,
)
from .output.folder.load import load_run
from .output.notebook import gallery, plot
from .output.run import save
from .scores.function import score_function
from .trust.policy import read_policy
from .trust.references import Reference, as_reference
from .trust.verdict import judge
from .trust.weigh import weigh
from .values.detections import Detections, Target
from .values.findings import Asked, Evidence, Explanation, Inspection, Level, Verdict
from .values.frame import Placed
from .values.images import load_image

__version__: str

__all__ = [
    "METHODS",
    "Asked",
    "Detections",
    "Evidence",
    "Explanation",
    "Inspection",
    "Level",
    "Placed",
    "Reference",
    "Target",
    "Verdict",
    "XaiDetectError",
    "as_reference",
    "build_classifier",
    "detect",
    "evaluate",
    "explain",
    "from_coco_results",
    "from_torchvision",
    "from_ultralytics",
    "gallery",
    "inspect",
    "inspect_many",
    "judge",
    "load_classifier",
    "load_detector",
    "load_image",
    "load_run",
    "match_candidates",
    "methods",
    "place",
    "plot",
    "read_dataset",
    "read_policy",
    "save",
    "save_classifier",
    "score_function",
    "to_coco_results",
    "to_supervision",
    "weigh",
    "wrap",
    "wrap_classifier",
    "wrap_network",
]
