"""The same explanation by other libraries, each used directly as its own documentation shows.

Each function returns works by name; the first is ours. They share one network object, whose
parameters are frozen. Whatever a library can prepare once per image is prepared before the clock
starts.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed_report import Work
from benchmarks.speed_scene import Plan, Scene
from xai_detect.explainers.activations.cam import GradCam, HiResCam, LayerCam
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.integrated import IntegratedGradients
from xai_detect.explainers.masks.d_rise import DRise
from xai_detect.explainers.shapley.partition_shap import PartitionShap
from xai_detect.inspection.image import detect
from xai_detect.scores.survival import Survival
from xai_detect.values.detections import Detections, Target

BATCH = 2
"""Images per forward pass wherever a library leaves that to its user: what is fastest at 640 pixels
on a CPU, for all of them alike."""

FAINT = 0.01
"""Confidence from which the D-RISE libraries see detections on masked images."""

BLUR = "blur(16,16)"
"""What hidden parts become in the shap package's own image masker, and in ours beside it."""


def captum(scene: Scene, plan: Plan, targets: Sequence[Target]) -> dict[str, Work]:
    """Captum's integrated gradients of the raw network's logit, a run per box."""
    from captum.attr import IntegratedGradients as Peer

    pixels = scene.pixels()

    def run(delta: bool) -> None:
        for target in targets:
            Peer(
                lambda some, one=target: scene.logits(some)[:, one.label, one.candidate]
            ).attribute(
                pixels,
                baselines=torch.zeros_like(pixels),
                n_steps=plan.steps,
                internal_batch_size=1,
                return_convergence_delta=delta,
            )

    method = IntegratedGradients(steps=plan.steps, max_steps=plan.steps, baseline="black")
    return {
        "integrated_gradients": scene.ours(method, targets),
        "captum, IntegratedGradients": lambda: run(False),
        "captum, IntegratedGradients with its convergence delta": lambda: run(True),
    }


def _cams(
    scene: Scene, targets: Sequence[Target], ours: type[GradCam] | type[HiResCam], peer: type[Any]
) -> tuple[Work, Work]:
    # The finest level that enters the head leads to the candidates of all levels.
    layer = scene.detector.feature_layers[0]

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = scene.detector.module

        def forward(self, pixels: Tensor) -> Tensor:
            return scene.logits(pixels)

    cam = peer(Logits(), [scene.detector.module.get_submodule(layer)])

    def theirs() -> None:
        for one in targets:
            cam(
                scene.pixels().requires_grad_(),
                [lambda logits, one=one: logits[one.label, one.candidate]],
            )

    return scene.ours(ours(layer=layer), targets), theirs


def hires_cam(scene: Scene, _plan: Plan, targets: Sequence[Target]) -> dict[str, Work]:
    """HiResCAM of the grad-cam package at the same layer, a run per box."""
    from pytorch_grad_cam import HiResCAM

    ours, theirs = _cams(scene, targets, HiResCam, HiResCAM)
    return {"hires_cam": ours, "grad-cam, HiResCAM": theirs}


def grad_cam(scene: Scene, _plan: Plan, targets: Sequence[Target]) -> dict[str, Work]:
    """Grad-CAM of the grad-cam package at the same layer, a run per box."""
    from pytorch_grad_cam import GradCAM

    ours, theirs = _cams(scene, targets, GradCam, GradCAM)
    return {"grad_cam": ours, "grad-cam, GradCAM": theirs}


def ultralytics(scene: Scene, _plan: Plan, targets: Sequence[Target]) -> dict[str, Work]:
    """Detection with LayerCAM at the levels that enter the head, the library's way and ours.

    Its one picture merges up to 16 of the strongest raw predictions, above the threshold and
    before suppression, whatever the number of boxes; ours is a map for each box.
    """
    from ultralytics import YOLO

    network = YOLO(str(scene.weights))
    rgb = (scene.image.permute(1, 2, 0) * 255).round().byte().numpy()
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])

    def theirs() -> None:
        with tempfile.TemporaryDirectory() as folder:
            network.predict(
                bgr, visualize=True, project=folder, name="maps", imgsz=640, device="cpu",
                verbose=False,
            )  # fmt: skip

    def ours() -> None:
        detect(scene.detector, scene.image, 0.25)
        explain(LayerCam(), scene.detector, scene.image, targets)

    return {"detection and layer_cam": ours, "ultralytics, predict(visualize=True)": theirs}


def _d_rise(plan: Plan) -> DRise:
    return DRise(masks=plan.masks, grid=16, keep=0.5, fill="black", batch=BATCH)


def _one_hot(found: Detections | Sequence[Target], classes: int) -> tuple[Tensor, Tensor]:
    """Boxes, and per box its score in its class's column."""
    if isinstance(found, Detections):
        boxes, scores, labels = found.boxes, found.scores, found.labels
    else:
        boxes = torch.tensor([one.box for one in found])
        scores = torch.tensor([one.score for one in found])
        labels = torch.tensor([one.label for one in found])
    table = torch.zeros(len(boxes), classes)
    table[torch.arange(len(boxes)), labels] = scores
    return boxes, table


def xaitk(scene: Scene, plan: Plan, targets: Sequence[Target]) -> dict[str, Work]:
    """D-RISE of xaitk-saliency, all boxes in one call."""
    from smqtk_detection import DetectImageObjects
    from smqtk_image_io import AxisAlignedBoundingBox
    from xaitk_saliency.impls.gen_object_detector_blackbox_sal.drise import DRISEStack

    detector, names = scene.detector, scene.detector.class_names
    frame = detector.frame((scene.image.shape[1], scene.image.shape[2]))

    class BlackBox(DetectImageObjects):  # type: ignore[misc]
        def detect_objects(self, img_iter: Iterable[np.ndarray]) -> Iterator[list[Any]]:
            images = iter(img_iter)
            while group := list(islice(images, BATCH)):
                shown = torch.from_numpy(np.stack(group)).permute(0, 3, 1, 2) / 255
                for found in detector.detect(frame.to_input(shown.float()), frame, FAINT):
                    boxes, scores = _one_hot(found, len(names))
                    yield [
                        (
                            AxisAlignedBoundingBox(box[:2], box[2:]),
                            dict(zip(names, row, strict=True)),
                        )
                        for box, row in zip(boxes.tolist(), scores.tolist(), strict=True)
                    ]

        def get_config(self) -> dict[str, Any]:
            return {}

    rgb = (scene.image.permute(1, 2, 0) * 255).round().byte().numpy()
    boxes, scores = (one.numpy() for one in _one_hot(targets, len(names)))
    stack = DRISEStack(n=plan.masks, s=16, p1=0.5, seed=0, fill=0, threads=plan.threads - 1)
    return {
        "d_rise": scene.ours(_d_rise(plan), targets),
        "xaitk-saliency, DRISEStack": lambda: stack(rgb, boxes, scores, BlackBox()),
    }


def vision_explanation_methods(
    scene: Scene, plan: Plan, targets: Sequence[Target]
) -> dict[str, Work]:
    """D-RISE of vision-explanation-methods, all boxes in one call, an image per pass."""
    from vision_explanation_methods.explanations.common import (
        DetectionRecord,
        GeneralObjectDetectionModelWrapper,
    )
    from vision_explanation_methods.explanations.drise import DRISE_saliency

    detector, classes = scene.detector, len(scene.detector.class_names)
    frame = detector.frame((scene.image.shape[1], scene.image.shape[2]))

    class Wrapped(GeneralObjectDetectionModelWrapper):  # type: ignore[misc]
        def predict(self, x: Tensor) -> list[Any]:
            return [
                DetectionRecord(boxes, torch.ones(len(boxes)), scores)
                for boxes, scores in (
                    _one_hot(found, classes)
                    for found in detector.detect(frame.to_input(x), frame, FAINT)
                )
            ]

    def theirs() -> None:
        boxes, scores = _one_hot(targets, classes)
        wanted = DetectionRecord(boxes, torch.ones(len(boxes)), scores)
        DRISE_saliency(Wrapped(), scene.image[None], [wanted], plan.masks, mask_res=(16, 16))

    return {
        "d_rise": scene.ours(_d_rise(plan), targets),
        "vision-explanation-methods, DRISE_saliency": theirs,
    }


def shap(scene: Scene, plan: Plan, targets: Sequence[Target]) -> dict[str, Work]:
    """The shap package's partition explainer with its own image masker.

    A search per box, as ours; and one search for all boxes at once, which costs less and cuts the
    image where it suits their sum.
    """
    # Its import warns about versions of other packages.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap as package

    array = scene.image.permute(1, 2, 0).numpy()
    masker = package.maskers.Image(BLUR, array.shape)

    def search(some: Sequence[Target]) -> None:
        survival = Survival(scene.detector, scene.image, some, batch=BATCH)

        def scores(images: np.ndarray) -> np.ndarray:
            shown = torch.from_numpy(np.asarray(images, dtype=np.float32)).permute(0, 3, 1, 2)
            return survival.of_inputs(survival.frame.to_input(shown)).numpy()

        explainer = package.PartitionExplainer(scores, masker)
        explainer(array[None], max_evals=plan.evaluations, batch_size=10, silent=True)

    method = PartitionShap(evaluations=plan.evaluations, masker=BLUR, batch=BATCH)
    works: dict[str, Work] = {
        "partition_shap": scene.ours(method, targets),
        "shap, PartitionExplainer": lambda: [search([one]) for one in targets],
    }
    if len(targets) > 1:
        works["shap, PartitionExplainer, one search for all boxes"] = lambda: search(targets)
    return works


PEERS: dict[str, Callable[[Scene, Plan, Sequence[Target]], dict[str, Work]]] = {
    "captum": captum,
    "grad-cam HiResCAM": hires_cam,
    "grad-cam GradCAM": grad_cam,
    "ultralytics": ultralytics,
    "xaitk-saliency": xaitk,
    "vision-explanation-methods": vision_explanation_methods,
    "shap": shap,
}
