"""The most similar confirmed detections of a data set, beside each detection of an image.

Where no parts of objects are known, a person judges a detection by what else the detector calls by
that name, and is right about.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache

import torch
from jaxtyping import UInt8
from torch import Tensor

from xai_detect.data.records import Dataset
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.evaluation.outcomes import ground_truth, outcome
from xai_detect.explainers.activations.contributions import contributions, opens
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.inspection.image import detect
from xai_detect.trust.alike import Confirmed, Near, nearest
from xai_detect.trust.scene import Scene, ring
from xai_detect.trust.witness import witness
from xai_detect.values import boxes
from xai_detect.values.detections import Detections, Target
from xai_detect.values.findings import Alike, Explanation
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image
from xai_detect.values.truth import Kind

MAPS_KEPT = 64
"""Maps of confirmed detections that are kept for when they are shown again."""


class Gallery:
    """The confirmed detections of a data set; they are looked for when first asked for.

    Their maps are made when they are first shown. They change no verdict.
    """

    def __init__(
        self, detector: Detector, read: Callable[[], Dataset], limits: Mapping[str, float]
    ) -> None:
        """Nothing is read yet.

        Args:
            detector: The detector whose detections they are.
            read: Gives the images to look at, with what is annotated in them.
            limits: Those of the policy: a map that does not hold by them is not shown.
        """
        self._detector = detector
        self._read = read
        self._limits = limits
        self._map = lru_cache(maxsize=MAPS_KEPT)(self._made)

    @cached_property
    def confirmed(self) -> tuple[Confirmed, ...]:
        """All of them; none for a detector whose layers cannot be opened."""
        if not opens(self._detector):
            return ()
        return tuple(confirmed_in(self._detector, self._read()))

    def beside(
        self, placed: Placed, source: str, detections: Detections
    ) -> tuple[tuple[Alike, ...], ...]:
        """The most similar ones for each detection of an image; empty where there are none.

        Those of the image itself are left out, also where it has another name.

        Args:
            placed: The image.
            source: Its file.
            detections: What was found in it.
        """
        if not len(detections) or not self.confirmed:
            return ()
        own = _bytes(placed)
        others = [
            held
            for held in self.confirmed
            if held.source != source and not torch.equal(held.content, own)
        ]
        vectors = contributions(self._detector, placed, list(detections))
        return tuple(
            ()
            if features is None
            else tuple(self._shown(near) for near in nearest(features, target.label, others))
            for target, features in zip(detections, vectors, strict=True)
        )

    def _shown(self, near: Near) -> Alike:
        held = near.confirmed
        return Alike(
            source=held.source,
            box=held.box,
            score=held.target.score,
            similarity=near.similarity,
            image=held.content.float() / 255,
            place=held.target.box,
            explanation=self._map(held),
        )

    def _made(self, held: Confirmed) -> Explanation | None:
        """Why a confirmed one is detected; None where the map does not hold."""
        scene = Scene(self._detector, held.placed())
        box, near = boxes.mask(held.target.box, scene.size), ring(held.target.box, scene.size)
        seen = witness(scene, held.target, SightedGradients(), box, near, both=False)
        told = seen.believed(self._limits, math.nan, filled=bool(near.all()))
        return seen.explanations[0] if told == "reliable" else None


def confirmed_in(detector: Detector, dataset: Dataset) -> Iterator[Confirmed]:
    """Every detection that is right as annotated; images that cannot be read are passed over.

    Raises:
        InputError: If data set and detector share no class.
    """
    known = ground_truth(dataset, detector.class_names)
    for scan in dataset.scans:
        try:
            placed = place(detector, load_image(scan.path))
        except InputError:  # told where the data set is inspected
            continue
        found = detect(detector, placed)
        right = [
            own
            for own, fate in zip(found, outcome(known, scan, found).fates, strict=True)
            if fate.kind is Kind.RIGHT
        ]
        content, frame = _bytes(placed), placed.at_content(placed.content).frame
        for own, features in zip(right, contributions(detector, placed, right), strict=True):
            if features is not None:
                target = _in_content(own, placed)
                yield Confirmed(str(scan.path), own.box, target, features, content, frame)


def _in_content(target: Target, placed: Placed) -> Target:
    frame = placed.frame
    return Target(
        box=frame.box_to_content(target.box),
        label=target.label,
        score=target.score,
        candidate=target.candidate,
        class_names=target.class_names,
        proposal=frame.box_to_content(target.proposal),
    )


def _bytes(placed: Placed) -> UInt8[Tensor, "3 a b"]:
    """The image as the network sees it, in 8 bits."""
    return (placed.content * 255).round().clamp(0, 255).to(torch.uint8)
