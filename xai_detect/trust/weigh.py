"""Everything that is measured for the detections of one image: tests, maps, probability."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.trust.budget import BUDGETS, Budget
from xai_detect.trust.maps import NOTHING, SHARES_OF, Shares, bounds
from xai_detect.trust.name import Naming, map_decides
from xai_detect.trust.places import pieces
from xai_detect.trust.policy import DEFAULT_POLICY, Policy
from xai_detect.trust.probability import read_probabilities, statistics
from xai_detect.trust.reasons import Reasons, reasons
from xai_detect.trust.references import Reference
from xai_detect.trust.repeatability import repeat_explanations, similarity
from xai_detect.trust.scene import Scene, predictions, ring
from xai_detect.trust.witness import Witness, witness
from xai_detect.values import boxes
from xai_detect.values.boxes import Box
from xai_detect.values.detections import UNKNOWN, Detections, Target
from xai_detect.values.findings import Answer, Evidence, Explanation
from xai_detect.values.frame import nearest


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What was measured for one detection.

    Attributes:
        evidence: The numbers, answers and places; see ``trust.evidence``.
        explanation: The map *why detected*; None where the budget or the detector allows none.
        contrast: The map *why this class*; None likewise, or with one class.
    """

    evidence: Evidence
    explanation: Explanation | None
    contrast: Explanation | None

    def __repr__(self) -> str:
        maps = sum(made is not None for made in (self.explanation, self.contrast))
        return f"Weighed({self.evidence!r}, {maps} maps)"


@dataclass(frozen=True, slots=True)
class Second:
    """Another detector that is asked whether it finds the same.

    Attributes:
        detector: It.
        labels: Its label of each of the first detector's labels that it shares.
    """

    detector: Detector
    labels: Mapping[int, int]


def weigh(
    detector: Detector,
    image: Image,
    detections: Detections,
    *,
    whole: Named | None = None,
    budget: Budget = BUDGETS["standard"],
    references: Sequence[Reference] = (),
    foreground: Bool[Tensor, "h w"] | None = None,
    second: Second | None = None,
    rival: int | None = None,
    rows: Sequence[int] | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> list[Weighed]:
    """Measure what decides each detection of an image, and how likely it is to be right.

    Args:
        detector: The detector that found them.
        image: RGB in [0, 1], placed or not.
        detections: All that it found there: what was reported beside a detection enters its
            probability, though not what is said about *why*.
        whole: The predictions behind them, from ``look``; None asks for them.
        budget: What to spend.
        references: Other images whose surroundings are tried; see ``trust.references``.
        foreground: What is known to be the object, in image pixels, for boxes that fill the image;
            it takes the place of box and ring.
        second: Another detector to ask.
        rival: The class that the second map compares with; None takes each one's runner-up.
        rows: Which detections are measured; None takes all.
        policy: Limits that say when a map shows evidence outside, and when it is believed.

    Returns:
        One record per detection that is measured, in their order.

    Raises:
        InputError: If the detections are those of an image of another size, or the foreground is.
    """
    placed = place(detector, image)
    size = placed.frame.image_size
    if detections.image_size != size:
        raise InputError(
            f"the detections are of an image of {detections.image_size}, but this one is {size}: "
            "pass the detections of this image"
        )
    if foreground is not None and tuple(foreground.shape) != size:
        raise InputError(
            f"the foreground is a mask of {tuple(foreground.shape)}, but the image is {size}: pass "
            "one of the image's size"
        )
    if foreground is not None and not bool(foreground.any()):
        raise InputError(
            "the foreground is an empty mask; pass one that holds the object, or none at all"
        )
    if not len(detections):
        return []
    if whole is None:
        (whole,) = predictions(detector, placed.pixels, placed.frame)
    table = read_probabilities()
    numbers = statistics(
        detector, placed, detections, whole, finer=budget.finer,
        second=None if second is None else second.detector,
        second_labels=None if second is None else second.labels,
    )  # fmt: skip
    chances, recipes = table.of(numbers)
    shown = None if foreground is None else nearest(foreground, placed.frame.content_size)
    found = []
    for row in range(len(detections)) if rows is None else rows:
        target = detections.target(row)
        scene = Scene(detector, placed)
        near = ring(scene.box(target), scene.size) if shown is None else shown
        box = boxes.mask(scene.box(target), scene.size) if shown is None else shown
        said = reasons(
            scene, target, whole, near,
            references=references, most=budget.references, search=budget.search,
        )  # fmt: skip
        other = _runner_up(whole, target) if rival in (None, target.label) else rival
        seen = witness(scene, target, budget.maps, box, near, other)
        outside = seen.outside(policy.limits)
        place_of = None if outside is None else outside.region
        if place_of is not None and said.answer is not Answer.SURROUNDINGS:
            region = boxes.mask(boxes.near(place_of), scene.size)
            said = Reasons(said.presence, map_decides(scene, target, near, said.naming, region))
        repeatability = _repeatability(scene, seen, budget.maps) if budget.repeat else math.nan
        values = {
            "score": target.score,
            "probability": float(chances[row]),
            "share_right": table.share_right,
            **_of_presence(said),
            **_of_name(said.naming),
            **_of_shares("detected", seen, 0),
            **_of_shares("class", seen, 1),
            "evidence_outside": float(outside is not None) if seen.measured else math.nan,
            "completeness_error": seen.completeness_error,
            "settled": seen.settled,
            "repeatability": repeatability,
            "box_share": float(box.float().mean()),
            "test_passes": float(scene.spent),
            "map_passes": float(seen.passes),
        }
        words = {
            "reason": said.answer,
            "presence": said.presence.answer,
            "presence_stage": said.presence.stage,
            "name": said.naming.answer,
            "name_stage": said.naming.stage,
            "swap": said.naming.swap,
            "map": seen.believed(policy.limits, repeatability, filled=bool(near.all())),
            "class": target.name,
            "rival": "" if other is None else target.class_names[other],
            "recipe": recipes[row],
            "fitted": "shipped",
            "data": table.data,
            "domain": scene.domain,
            "budget": budget.name,
        }
        places = {
            "presence": said.presence.places,
            "name": _pieces(said.naming.region if said.naming.shown is None else said.naming.shown),
            "map": _several(place_of),
        }
        evidence = Evidence(
            values,
            {name: str(word) for name, word in words.items()},
            {name: tuple(map(scene.frame.box_to_image, some)) for name, some in places.items()},
        )
        maps = (*seen.explanations, None, None)
        found.append(Weighed(evidence, maps[0], maps[1]))
    return found


def _of_presence(said: Reasons) -> dict[str, float]:
    there = said.presence
    first, second = there.alone or (math.nan, math.nan)
    return {
        "presence_first": first,
        "presence_second": second,
        "presence_hidden": there.hidden,
        "presence_restored": there.restored,
        "presence_placebo": there.placebo,
    }


def _of_name(naming: Naming) -> dict[str, float]:
    return {
        "margin": naming.margin,
        "name_box": naming.box,
        "name_hidden": naming.hidden,
        "name_placebo": naming.placebo,
        "name_seen": naming.seen,
        "swapped": float(naming.swapped),
        "renamed": float(naming.renamed),
    }


def _of_shares(name: str, seen: Witness, row: int) -> dict[str, float]:
    found: Shares = seen.shares[row] if row < len(seen.shares) else NOTHING
    return {f"{name}_{kind}": getattr(found, kind) for kind in SHARES_OF}


def _repeatability(scene: Scene, seen: Witness, method: SightedGradients | None) -> float:
    """How alike the map of a shifted, noisy copy is; NaN where there is no map."""
    if method is None or not seen.explanations:
        return math.nan
    own = seen.explanations[:1]
    (again,) = repeat_explanations(scene.detector, scene.placed, own, SightedGradients())
    return similarity(scene.frame.map_to_content(own[0].heatmap), again.heatmap)


def _runner_up(whole: Named, target: Target) -> int | None:
    """The strongest other class at the target's own raw prediction; None where there is none."""
    rows = (whole.candidates[0] == target.candidate).nonzero()
    if len(target.class_names) < 2 or target.candidate == UNKNOWN or not len(rows):
        return None
    found = whole.raw.probabilities[0, int(rows[0])].clone()
    found[target.label] = -1
    return int(found.argmax())


def _pieces(region: Bool[Tensor, "a b"] | None) -> tuple[Box, ...]:
    """The boxes around a region's pieces, largest piece first."""
    found = [] if region is None else [bounds(piece) for piece in pieces(region)]
    return tuple(box for box in found if box is not None)


def _several(box: Box | None) -> tuple[Box, ...]:
    return () if box is None else (box,)
