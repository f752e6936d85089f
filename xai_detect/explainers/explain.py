"""One call that runs any method: borrow the model, explain, check the maps, give the model back."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.protocol import Attribution, Method, Needs, settings_of
from xai_detect.scores.scalars import check_differentiable, check_survival
from xai_detect.values.detections import Target
from xai_detect.values.findings import Explanation
from xai_detect.values.frame import Frame


def explain(
    method: str | Method[Any],
    detector: Detector,
    image: Image,
    targets: Sequence[Target],
    contrast: str | None = None,
) -> list[Explanation]:
    """Explain several detections of one image, sharing forward passes.

    Args:
        method: A name in ``METHODS``, or one of its classes with hyper-parameters.
        detector: The detector that found the targets.
        image: RGB in [0, 1], or the same placed in the detector's input by ``place``.
        targets: The questions; none gives an empty list.
        contrast: Why this class and not that one: the class whose log-odds are taken off. The
            method's scalar becomes ``margin``; ``Target.against`` says the same of one target.

    Returns:
        One explanation per target. ``measured["seconds"]`` is the call's time over its targets.

    Raises:
        InputError: If there is no such method, it needs more than this detector shows, or it cannot
            compare classes and is to.
        TargetError: If the detector has no class ``contrast``, or it is a target's own.
        ExplainError: If there are not as many maps as targets, or a map has the wrong size or holds
            a value that is not finite.
    """
    if isinstance(method, str):
        method = build_method(method)
    if contrast is not None:
        method, targets = contrasted(method), [target.against(contrast) for target in targets]
    require(method, detector)
    if not targets:
        return []
    start = time.perf_counter()
    with lent(getattr(detector, "module", nn.Identity())), torch.enable_grad():
        placed = place(detector, image)
        given: Any = placed if getattr(method, "takes_placed", False) else placed.image
        attributions = method(detector, given, targets)
    seconds = (time.perf_counter() - start) / len(targets)
    if len(attributions) != len(targets):
        raise ExplainError(
            f"{method.name} returned {len(attributions)} maps for {len(targets)} detections; "
            "expected one each"
        )
    return [
        _checked(method, placed.frame, target, attribution, seconds)
        for target, attribution in zip(targets, attributions, strict=True)
    ]


def contrasted(method: Method[Any]) -> Method[Any]:
    """The same method, of the difference between two classes.

    Raises:
        InputError: If it has no scalar, or another was chosen.
    """
    given: Any = method
    fields = dataclasses.fields(given) if dataclasses.is_dataclass(given) else ()
    usual = {field.name: field.default for field in fields}
    if "scalar" not in usual:
        raise InputError(
            f"{method.name} explains no scalar that could be a margin between two classes; "
            "contrast with another method, such as integrated_gradients or d_rise"
        )
    if given.scalar not in (usual["scalar"], "margin"):
        raise InputError(
            f"the scalar is {given.scalar!r}, but a contrast is the map of the scalar 'margin'; "
            "leave one of them out"
        )
    changed: Method[Any] = dataclasses.replace(given, scalar="margin")
    return changed


def require(method: Method[Any], detector: Detector) -> None:
    """Check that a detector shows what a method needs, and the scalar that it reads.

    Raises:
        InputError: If it does not; the message names the methods, or scalars, that would work.
    """
    white = isinstance(detector, WhiteBoxDetector)
    if method.needs in (Needs.GRADIENTS, Needs.ATTENTION) and not white:
        able = [
            name for name, kind in METHODS.items() if kind.needs in (Needs.SCORES, Needs.NOTHING)
        ]
        raise InputError(
            f"{method.name} needs {method.needs}, but {detector.provenance.name} is a black box; "
            f"methods that work with it: {', '.join(able) or 'none'}"
        )
    scalar = getattr(method, "scalar", None)
    if scalar is not None:
        check = check_survival if method.needs == Needs.SCORES else check_differentiable
        check(scalar, detector)


def _checked(
    method: Method[Any], frame: Frame, target: Target, attribution: Attribution, seconds: float
) -> Explanation:
    heatmap, measured = attribution
    size = frame.image_size
    if tuple(heatmap.shape) != size:
        raise ExplainError(
            f"{method.name} returned a {tuple(heatmap.shape)} map for a {size} image"
        )
    if not heatmap.isfinite().all():
        raise ExplainError(
            f"{method.name} returned a map that is not finite for {target.name!r}; "
            "the weights may hold NaN, or the score is constant there"
        )
    return Explanation(
        heatmap=heatmap.detach().to("cpu").float(),
        target=target,
        method=method.name,
        settings=settings_of(method),
        measured={**measured, "seconds": seconds},
        content_size=frame.content_size,
    )
