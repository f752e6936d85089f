"""What is measured, a section per process: each prints its rows."""

import copy
import json
import resource
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed_peers import PEERS
from benchmarks.speed_report import Comparison, Seconds, Work, compared, in_turns, tell
from benchmarks.speed_scene import Plan, Scene
from xai_detect.detectors.lending import lent
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.activations.layers import OpenLayers
from xai_detect.explainers.activations.odam import Odam
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.integrated import IntegratedGradients
from xai_detect.explainers.masks.d_rise import DRise
from xai_detect.explainers.methods import METHODS
from xai_detect.explainers.protocol import Method
from xai_detect.inspection.image import detect
from xai_detect.values.images import load_image

SETTINGS: dict[str, dict[str, Any]] = {
    "input_x_gradient": {},
    "integrated_gradients": {"steps": 8, "max_steps": 8},
    "smoothgrad": {"samples": 8},
    "expected_gradients": {"samples": 8},
    "guided_backprop": {},
    "guided_ig": {"steps": 8},
    "lrp": {},
    "xrai": {},
    "grad_cam": {},
    "grad_cam_plus_plus": {},
    "hires_cam": {},
    "layer_cam": {},
    "eigen_cam": {},
    "ssgrad_cam": {},
    "ssgrad_cam_plus_plus": {},
    "g_came": {},
    "odam": {},
    "occlusion": {"window": 0.2, "stride": 0.15},
    "d_rise": {"masks": 64},
    "d_close": {"masks": 240, "levels": 2, "segments": 20},
    "kernel_shap": {"regions": 20, "samples": 160},
    "partition_shap": {"evaluations": 48},
    "vps": {"regions": 12},
    "phasewin": {"regions": 16},
    "vx_code": {"side": 5},
}
"""Methods whose overhead is measured, with settings that take seconds, far below their defaults.

Left out are those that need more than a detector and an image: classifiers (``cam``), transformers
(``attention``), statistics of a data set (``parchgrad``); and the controls, which run no network.
"""

OURS: dict[str, Callable[[int], Method[Any]]] = {
    "d_rise": lambda masks: DRise(masks=masks),
    "integrated_gradients": lambda steps: IntegratedGradients(steps=steps, max_steps=steps),
    "integrated_gradients, never within tolerance": lambda steps: IntegratedGradients(
        max_steps=steps, tolerance=1e-9
    ),
}
"""What memory is measured of, by the number of masks or steps."""

BY_MASKS = ("xaitk-saliency", "vision-explanation-methods", "shap")
"""Libraries beside which ours should be five times as fast for many boxes."""

PACKAGES = (
    "torch", "torchvision", "numpy", "captum", "ultralytics", "shap", "zennit", "grad-cam",
    "xaitk-saliency", "vision-explanation-methods", "opencv-python", "opencv-python-headless",
)  # fmt: skip

FEWEST = 0.001
"""Confidence from which boxes are taken, so that there are enough different ones."""


def scene(weights: Path, image: Path, boxes: int) -> Scene:
    """The network, the image and its best detections."""
    detector, pixels = load_detector(weights), load_image(image)
    targets = list(detect(detector, pixels, FEWEST))[:boxes]
    if not targets:
        raise SystemExit(f"nothing was found in {image}; choose another image")
    return Scene(weights, detector, pixels, targets)


@contextmanager
def _counted(detector: WhiteBoxDetector) -> Iterator[list[int]]:
    """Watch how many images each forward pass of the network gets."""
    batches: list[int] = []
    hook = detector.module.register_forward_pre_hook(
        lambda _module, inputs: batches.append(len(inputs[0]))
    )
    try:
        yield batches
    finally:
        hook.remove()


def bare(given: Scene, batches: Sequence[int], backwards: int) -> Work:
    """The network alone, on batches of those sizes, the first of them with a backward pass."""
    pixels, target = given.pixels(), given.targets[0]

    def run() -> None:
        left = backwards
        with lent(given.detector.module):
            for batch in batches:
                point = pixels.expand(batch, -1, -1, -1).contiguous()
                if left > 0:
                    left -= batch
                    point = point.clone().requires_grad_()
                    torch.autograd.grad(given.detector.score(point, target).sum(), point)
                else:
                    with torch.no_grad():
                        given.detector.module(point)

    return run


def overhead(given: Scene, plan: Plan) -> None:
    """Each method beside as many passes of the bare network."""
    one = given.targets[:1]
    for name, settings in SETTINGS.items():
        method = METHODS[name](**settings)
        with _counted(given.detector) as batches:
            (found,) = explain(method, given.detector, given.image, one)
        forwards, backwards = (
            int(found.measured[key]) for key in ("forward_passes", "backward_passes")
        )
        works = {"ours": given.ours(method, one), "bare": bare(given, batches, backwards)}
        taken = in_turns(works, plan.repeats, plan.threads, warm=False)
        note = f"{forwards} forward and {backwards} backward passes"
        if sum(batches) != forwards:
            note += f"; the network saw {sum(batches)} images"
        words = ", ".join(f"{key} {value}" for key, value in settings.items())
        what = f"{name} ({words})" if words else name
        tell(compared("overhead", what, 1, taken["ours"], taken["bare"], most=1.1, note=note))


def sharing(given: Scene, plan: Plan) -> None:
    """Many boxes of an image at once."""
    one, many = given.targets[:1], given.targets[: plan.many_boxes]
    method = DRise(masks=plan.masks)
    works = {"many": given.ours(method, many), "one": given.ours(method, one)}
    taken = in_turns(works, plan.repeats, plan.threads)
    what = f"d_rise ({plan.masks} masks): all boxes / one box"
    tell(compared("sharing", what, len(many), taken["many"], taken["one"], most=1.15))

    some = given.targets[: plan.boxes]
    path = IntegratedGradients(steps=plan.steps, max_steps=plan.steps)
    works = {
        "once": given.ours(path, some),
        "apart": partial(_all, [given.ours(path, [each]) for each in some]),
    }
    taken = in_turns(works, plan.repeats, plan.threads, warm=False)
    what = f"integrated_gradients ({plan.steps} steps): one call / a call per box"
    tell(compared("sharing", what, len(some), taken["once"], taken["apart"], most=0.75))


def odam(given: Scene, plan: Plan) -> None:
    """ODAM's small backward pass for all boxes beside the ordinary ways, whole and by itself."""
    whole: Any = copy.copy(given.detector)
    whole.patches = lambda _features, _targets: None  # as a head that runs only on whole levels
    method = Odam()
    for count in sorted({plan.boxes, plan.many_boxes}):
        some = given.targets[:count]
        ordinary = Scene(given.weights, whole, given.image, some)
        calls = [given.ours(method, [each]) for each in some]
        longer = [ordinary.ours(method, [each]) for each in some]
        works: dict[str, Work] = {
            "once": given.ours(method, some),
            "a call per box": partial(_all, calls),
            "a call and an ordinary backward pass per box": partial(_all, longer),
            "one call, an ordinary backward pass per box": ordinary.ours(method, some),
        }
        taken = in_turns(works, plan.repeats, plan.threads)
        for name in list(works)[1:]:
            tell(compared("odam", name, len(some), taken[name], taken["once"], least=10.0))
        works = {
            name: partial(_slopes, OpenLayers(detector, given.image, some))
            for name, detector in (("small", given.detector), ("ordinary", whole))
        }
        taken = in_turns(works, plan.repeats, plan.threads)
        what = "an ordinary backward pass per box, without the forward pass on either side"
        tell(compared("odam", what, len(some), taken["ordinary"], taken["small"], least=10.0))


def _all(works: Sequence[Work]) -> None:
    for work in works:
        work()


def _slopes(layers: OpenLayers) -> None:
    list(layers.slopes("probability"))


def peer(name: str, given: Scene, plan: Plan) -> None:
    """One library beside ours, for one box and for many."""
    for count in sorted({1, plan.boxes}):
        some = given.targets[:count]
        works = PEERS[name](given, plan, some)
        taken = in_turns(works, plan.repeats, plan.threads, warm=count == 1)
        ours, *others = works
        for other in others:
            tell(_beside(name, other, ours, len(some), taken))


def _beside(name: str, other: str, ours: str, boxes: int, taken: dict[str, Seconds]) -> Comparison:
    per_box = (statistics.median(taken[one].wall) / boxes for one in (other, ours))
    return compared(
        "peers",
        f"{other} / our {ours}",
        boxes,
        taken[other],
        taken[ours],
        least=5.0 if name in BY_MASKS and boxes > 1 else 1.0,
        note="seconds per box {:.3g} / {:.3g}".format(*per_box),
    )


def peak(case: str, count: int, given: Scene, plan: Plan) -> None:
    """Peak memory of one run with so many masks or steps: a key of ``OURS`` or a library."""
    one = given.targets[:1]
    explain(Odam(), given.detector, given.image, one)
    loaded = _peak_gb()
    if case in OURS:
        explain(OURS[case](count), given.detector, given.image, one)
    else:
        works = PEERS[case](given, replace(plan, masks=count, steps=count), one)
        list(works.values())[1]()
    tell({"loaded": loaded, "peak": _peak_gb()})


def _peak_gb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e9 if sys.platform == "darwin" else 1e6)


def versions() -> dict[str, str]:
    """Of every package that takes part."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def run(section: list[str], weights: Path, image: Path, plan: Plan) -> None:
    """Measure one section in this process."""
    # Imported late: the library would read its number of threads from the environment otherwise.
    import cv2

    cv2.setNumThreads(plan.threads)
    torch.set_num_threads(plan.threads)
    given = scene(weights, image, max(plan.boxes, plan.many_boxes))
    match section:
        case ["setting"]:
            size = f"{given.image.shape[2]} x {given.image.shape[1]}"
            tell({"versions": versions(), "size": size})
        case ["overhead"]:
            overhead(given, plan)
        case ["sharing"]:
            sharing(given, plan)
        case ["odam"]:
            odam(given, plan)
        case ["peers", name]:
            peer(name, given, plan)
        case ["memory", case, count]:
            peak(case, int(count), given, plan)
        case _:
            raise SystemExit(f"there is no section {json.dumps(section)}")
