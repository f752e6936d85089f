"""The name test: is the class of a detection decided in its box, or by its surroundings?

What it reads is the margin: log-odds of the class less those of the strongest other, at the very
raw prediction that became the detection. All ratios are margins of a changed image over that of
the whole image. A step is made only where the one before leaves the question open.

1. Box and ring on a wide blur. The name is kept: on to 4.
2. Where: the margin's gradient at the image, times what the blur takes away, finds the strongest
   region of the surroundings.
3. Hide that region, and a placebo of its shape elsewhere; where the name stays, a larger region.
   The name goes with the region and stays with the placebo: the surroundings decide.
4. Swap: box and ring in other images' surroundings. If it takes the name of what those images hold
   in most of them: the surroundings decide. This finds a class that is the default.

A detector that shows raw predictions and no gradients is searched instead: parts of the
surroundings are hidden, smaller and smaller.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.protocol import RawDetector, WhiteBoxDetector
from xai_detect.trust.places import beyond, reached, smallest
from xai_detect.trust.references import Surroundings
from xai_detect.trust.scene import Scene, lead
from xai_detect.values.detections import Target
from xai_detect.values.findings import Answer

KEEPS = 0.5
"""With this much of the margin the name is kept."""

HIDE, PLACEBO = 0.5, 0.7
"""The surroundings decide if hiding leaves less than the first, and the placebo more than the
second."""

DROP = 2.5
"""And only if the margin falls by this many log-odds: small leads are noise."""

SEEN = 0.35
"""A changed image speaks of the name only if some class keeps this share of the score."""

SMOOTH, RIM = 1 / 40, 1.5
"""Evidence is smoothed by this share of the longer side; a region's rim, in such widths."""

SHARE = 0.5
"""A region is the smallest with this share of the evidence outside."""

STEPS = ((SHARE, 0.01, HIDE), (0.8, 0.04, 0.35))
"""That share, the share of the surroundings that the region may cover, its rim left out, and the
ratio below which the name is gone. Where the name stays, the next step takes more of both: a region
that holds its share is not widened by room alone, and half of a cue's evidence may leave enough of
the cue. With so much hidden, less may be left of the name."""

FLIPS = 0.75
"""Share of the references, two at least, that must rename."""

SURROUNDINGS = 0.02
"""Less surroundings than this share of the image: nothing to test."""

BLUR = "blur"
"""What stands for "nothing there", in photographs and scans alike: in X-ray images air is not
neutral around an item, and a name may hang on it."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What the name test found.

    Attributes:
        answer: Whether the object or its surroundings decide the class.
        stage: Where the test ended.
        margin: Log-odds by which the class leads, in the whole image.
        box: Ratio with box and ring alone.
        hidden: Ratio with the region hidden; NaN where none was.
        placebo: Ratio with as much hidden elsewhere; NaN likewise.
        seen: Share of the score that some class keeps with the region hidden; NaN likewise.
        region: What was hidden, over content pixels; None likewise.
        shown: The same as far as its evidence reaches, where it decides; None elsewhere.
        swap: What other surroundings say; ``unmeasured`` where they were not asked.
        swapped: How many were asked.
        renamed: How many of them took the name away.
    """

    answer: Answer
    stage: str
    margin: float = math.nan
    box: float = math.nan
    hidden: float = math.nan
    placebo: float = math.nan
    seen: float = math.nan
    region: Bool[Tensor, "a b"] | None = None
    shown: Bool[Tensor, "a b"] | None = None
    swap: Answer = Answer.UNMEASURED
    swapped: int = 0
    renamed: int = 0


def naming(
    scene: Scene,
    target: Target,
    near: Bool[Tensor, "a b"],
    whole: Float[Tensor, "c"],
    alone: Float[Tensor, "c"],
    references: Sequence[Surroundings] = (),
) -> Naming:
    """Ask whether the object decides the class of a detection.

    Args:
        scene: The image.
        target: The detection.
        near: What belongs to the object, over content pixels; it is never hidden.
        whole: Log-odds of every class at the target's raw prediction, in the image as it is.
        alone: The same with nothing but ``near`` on ``BLUR``.
        references: Other surroundings; none leaves the swap unmeasured.
    """
    margin = float(lead(whole[None], target.label)[0])
    if math.isnan(margin):
        return Naming(Answer.UNMEASURED, _no_margin(scene, whole))
    if margin <= 0:
        return Naming(Answer.UNMEASURED, "another_leads", margin)
    if float((~near).float().mean()) < SURROUNDINGS:
        return Naming(Answer.UNMEASURED, "no_surroundings", margin)
    asked = _Question(scene, target, near, margin)
    asked.measured["box"] = float(lead(alone[None], target.label)[0]) / margin
    kept = asked.measured["box"] >= KEEPS
    if not kept and asked.hidden_decides():
        return asked.done(Answer.SURROUNDINGS, "hide")
    if asked.swap_decides(references):
        return asked.done(Answer.SURROUNDINGS, "swap")
    return asked.done(Answer.OBJECT if kept else Answer.UNCLEAR, "box" if kept else "hide")


def map_decides(
    scene: Scene,
    target: Target,
    near: Bool[Tensor, "a b"],
    naming: Naming,
    region: Bool[Tensor, "a b"],
) -> Naming:
    """Hide what a map shows outside, where the test found nothing there.

    Args:
        scene: The image.
        target: The detection.
        near: What belongs to the object, over content pixels.
        naming: What the name test found.
        region: The map's strongest region outside, over content pixels.

    Returns:
        That the surroundings decide, where the name goes with the region and stays with a placebo;
        else what the test found.
    """
    if naming.answer is Answer.UNMEASURED:
        return naming
    asked = _Question(scene, target, near, naming.margin)
    region = region & ~near
    hidden, placebo, seen = asked.without(region, region.float())
    if not (asked.lost(hidden, seen, HIDE) and placebo > PLACEBO):
        return naming
    return replace(
        naming, answer=Answer.SURROUNDINGS, stage="map", region=region,
        hidden=hidden, placebo=placebo, seen=seen,
    )  # fmt: skip


def _no_margin(scene: Scene, whole: Float[Tensor, "c"]) -> str:
    """Why there is none."""
    if len(whole) < 2:
        return "one_class"
    shows = isinstance(scene.detector, RawDetector)
    return "no_candidate" if shows else "no_raw_predictions"


@dataclass
class _Question:
    """One detection under the test; what is measured on the way is kept for the record."""

    scene: Scene
    target: Target
    near: Bool[Tensor, "a b"]
    margin: float
    measured: dict[str, float] = field(default_factory=dict)
    region: Bool[Tensor, "a b"] | None = None
    shown: Bool[Tensor, "a b"] | None = None
    swap: Answer = Answer.UNMEASURED
    swapped: int = 0
    renamed: int = 0

    def done(self, answer: Answer, stage: str) -> Naming:
        return Naming(
            answer, stage, self.margin, **self.measured, region=self.region, shown=self.shown,
            swap=self.swap, swapped=self.swapped, renamed=self.renamed,
        )  # fmt: skip

    def margins(
        self, copies: Sequence[Float[Tensor, "3 a b"]]
    ) -> tuple[list[float], list[float], list[int]]:
        """Of each copy: ratio, share of the score that some class keeps, and the leading class."""
        answers = self.scene.ask(copies)
        odds = self.scene.log_odds(copies, answers, self.target)
        ratios = lead(odds, self.target.label) / self.margin
        seen = odds.amax(dim=1).sigmoid() / self.target.score
        return ratios.tolist(), seen.tolist(), odds.argmax(dim=1).tolist()

    def lost(self, ratio: float, seen: float, below: float) -> bool:
        """Whether a changed image still shows something, and not by its name."""
        return ratio < below and self.margin * (1 - ratio) >= DROP and seen > SEEN

    def hidden_decides(self) -> bool:
        """Steps 2 and 3."""
        detector = self.scene.detector
        if not isinstance(detector, WhiteBoxDetector):
            place = smallest(self.near, self.lost_without)
            region = beyond([] if place is None else [place], self.near)
            gone = bool(region.any()) and self.tried(region, region.float())
            return gone and self.measured["placebo"] > PLACEBO
        evidence = self.evidence(detector)
        for share, area, below in STEPS:
            region = strongest(evidence, ~self.near, area, share)
            if not bool(region.any()):
                return False
            if self.tried(region, evidence, below):
                if self.measured["placebo"] <= PLACEBO:
                    return False
                self.shown = reached(region, _outside(evidence, ~self.near))
                return True
        return False

    def lost_without(self, part: Bool[Tensor, "a b"]) -> bool:
        (ratio,), (seen,), _ = self.margins([self.scene.without(part, BLUR)])
        return self.lost(ratio, seen, HIDE)

    def tried(
        self, region: Bool[Tensor, "a b"], evidence: Float[Tensor, "a b"], below: float = HIDE
    ) -> bool:
        """Whether the name goes with a region; what was measured is kept for the record."""
        hidden, placebo, seen = self.without(region, evidence)
        self.region = region
        self.measured |= {"hidden": hidden, "placebo": placebo, "seen": seen}
        return self.lost(hidden, seen, below)

    def without(
        self, region: Bool[Tensor, "a b"], evidence: Float[Tensor, "a b"]
    ) -> tuple[float, float, float]:
        """Ratio without a region, ratio without a placebo, and what some class keeps.

        The placebo's is NaN where there is no room for half of it: next to nothing hidden is no
        comparison.
        """
        placebo = elsewhere(region, evidence, ~self.near)
        copies = [self.scene.without(part, BLUR) for part in (region, placebo)]
        ratios, seen, _ = self.margins(copies)
        room = 2 * int(placebo.sum()) >= int(region.sum())
        return ratios[0], ratios[1] if room else math.nan, seen[0]

    def evidence(self, detector: WhiteBoxDetector) -> Float[Tensor, "a b"]:
        """What each pixel of the image gives the margin that the blur does not, to first order."""
        pixels = self.scene.placed.pixels.detach().clone().requires_grad_()
        with torch.enable_grad():
            found = detector.candidate(pixels, [self.target], self.scene.frame)
            margin = lead(found.log_odds[0], self.target.label)[0]
            gradient = torch.autograd.grad(margin, pixels)[0]
        self.scene.spent += 2
        content = gradient[0, :, *self.scene.frame.content].cpu().float()
        return (content * (self.scene.content - self.scene.emptied(BLUR))).sum(dim=0)

    def swap_decides(self, references: Sequence[Surroundings]) -> bool:
        """Step 4; stops as soon as the answer is settled."""
        needed, kept = max(2, math.ceil(FLIPS * len(references))), 0
        if len(references) < 2:
            return False
        self.swap = Answer.OBJECT
        for reference in references:
            copy = torch.where(self.near, self.scene.content, reference.content())
            (ratio,), (seen,), (leader,) = self.margins([copy])
            renamed = self.lost(ratio, seen, 0.0) and leader in reference.labels
            self.swapped, self.renamed = self.swapped + 1, self.renamed + renamed
            kept += not renamed
            if self.renamed == needed:
                self.swap = Answer.SURROUNDINGS
                return True
            if kept > len(references) - needed:
                break
        return False


def strongest(
    evidence: Float[Tensor, "a b"], outside: Bool[Tensor, "a b"], area: float, share: float = SHARE
) -> Bool[Tensor, "a b"]:
    """The smallest region of the surroundings with a share of the evidence there, and its rim.

    Args:
        evidence: Signed, over content pixels.
        outside: The surroundings.
        area: Most of them that the region may cover, its rim left out.
        share: Of the positive evidence there.
    """
    smoothed = _outside(evidence, outside)
    ranked, order = smoothed.flatten().sort(descending=True)
    if float(ranked[0]) <= 0:
        return torch.zeros_like(outside)
    count = int((ranked.cumsum(0) < share * ranked.sum()).sum()) + 1
    core = torch.zeros(smoothed.numel(), dtype=torch.uint8)
    core[order[: min(count, max(1, int(area * int(outside.sum()))))]] = 1
    side = 2 * round(RIM * SMOOTH * max(evidence.shape)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    grown = cv2.dilate(core.view(smoothed.shape).numpy(), kernel)
    return torch.from_numpy(grown).bool() & outside


def elsewhere(
    region: Bool[Tensor, "a b"], evidence: Float[Tensor, "a b"], outside: Bool[Tensor, "a b"]
) -> Bool[Tensor, "a b"]:
    """The region mirrored or moved by half the image, less itself and the object: a placebo.

    Of the copies that keep most of its size, the one with the least evidence.
    """
    height, width = region.shape
    moved = [
        copy & outside & ~region
        for copy in (
            region.flip(0, 1), region.flip(1), region.flip(0),
            region.roll(height // 2, 0), region.roll(width // 2, 1),
        )
    ]  # fmt: skip
    largest = max(int(copy.sum()) for copy in moved)
    full = [copy for copy in moved if int(copy.sum()) >= 0.9 * largest]
    smoothed = _smooth(evidence, SMOOTH * max(evidence.shape)).clamp(min=0)
    return min(full, key=lambda copy: float(smoothed[copy].sum()))


def _outside(evidence: Float[Tensor, "a b"], outside: Bool[Tensor, "a b"]) -> Float[Tensor, "a b"]:
    """The positive evidence of the surroundings, smoothed."""
    smoothed = _smooth(evidence, SMOOTH * max(evidence.shape)).clamp(min=0)
    return torch.where(outside, smoothed, 0.0)


def _smooth(values: Float[Tensor, "a b"], sigma: float) -> Float[Tensor, "a b"]:
    array = np.ascontiguousarray(values.numpy())
    return torch.from_numpy(cv2.GaussianBlur(array, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))
