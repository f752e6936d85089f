"""The probability that a detection is right as annotated: a logistic regression on raw predictions.

No map and no removal test enters it: they say what decides, and nothing about being right
(measured: ``docs/verdicts.md``). Three recipes, by what was looked at: ``quick`` the raw
predictions alone, ``standard`` also one pass at ``FINER`` times the resolution, ``second`` also
another detector.

The coefficients that ship are in ``probability.json``, with the data that they were fitted on. For
any other detector they are a starting point and not a calibration, and are labelled so.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, FinerDetector, Named
from xai_detect.errors import InputError
from xai_detect.trust.candidates import AGAIN, OWN, again_statistics, own_statistics
from xai_detect.trust.scene import predictions
from xai_detect.values.detections import Detections
from xai_detect.values.frame import Placed
from xai_detect.values.json import as_list, as_mapping, as_number, as_text, damaged

SHIPPED = Path(__file__).with_name("probability.json")

FINER = 1.5
"""How much finer the second look of ``standard`` is."""

SECOND = ("second", "second_margin")

RECIPES: Mapping[str, tuple[str, ...]] = {
    "quick": OWN,
    "standard": (*OWN, *AGAIN),
    "second": (*OWN, *AGAIN, *SECOND),
}
"""What each recipe reads, in the order of its coefficients."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One recipe's coefficients, for numbers that are first brought to mean 0 and deviation 1.

    Attributes:
        means: Of each number, in the order of ``RECIPES``.
        deviations: Likewise.
        weights: Likewise.
        bias: What is added.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Fitted recipes, and what they were fitted on.

    Attributes:
        fits: By recipe.
        data: The data, in words.
        share_right: Share of their detections that are right.
        clean_images: How many of their images hold none of the objects.
    """

    fits: Mapping[str, Fit]
    data: str
    share_right: float
    clean_images: int

    def of(self, numbers: Mapping[str, Float[Tensor, "n"]]) -> tuple[Float[Tensor, "n"], list[str]]:
        """Probability and recipe of each detection: the richest recipe whose numbers are all there.

        Args:
            numbers: One value per detection of each number; NaN or absent where not known.
        """
        count = len(next(iter(numbers.values())))
        found = torch.full((count,), math.nan, dtype=torch.float64)
        recipes = [""] * count
        for recipe, fit in self.fits.items():  # the richest comes last
            names = RECIPES[recipe]
            if not all(name in numbers for name in names):
                continue
            columns = torch.stack([numbers[name].double() for name in names], dim=1)
            scaled = (columns - torch.tensor(fit.means)) / torch.tensor(fit.deviations)
            values = (scaled @ torch.tensor(fit.weights, dtype=torch.float64) + fit.bias).sigmoid()
            for row in values.isfinite().nonzero().flatten().tolist():
                found[row], recipes[row] = values[row], recipe
        return found, recipes


def read_probabilities(path: Path = SHIPPED) -> Probabilities:
    """Read fitted recipes.

    Raises:
        InputError: If the file cannot be read or is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the coefficients {path} cannot be read: {error}") from error
    with damaged(path):
        known = as_mapping(content)
        fits = as_mapping(known["recipes"])
        provenance = as_mapping(known["provenance"])
        return Probabilities(
            {recipe: _fit(as_mapping(fits[recipe]), names) for recipe, names in RECIPES.items()},
            as_text(provenance["data"]),
            as_number(provenance["share_right"]),
            int(as_number(provenance["clean_images"])),
        )


def _fit(content: Mapping[str, object], names: Sequence[str]) -> Fit:
    if [as_text(name) for name in as_list(content["names"])] != list(names):
        raise ValueError(f"coefficients of other numbers than {', '.join(names)}")
    means, deviations, weights = (
        tuple(as_number(value) for value in as_list(content[key]))
        for key in ("means", "deviations", "weights")
    )
    if not len(means) == len(deviations) == len(weights) == len(names):
        raise ValueError(f"not {len(names)} coefficients")
    return Fit(means, deviations, weights, as_number(content["bias"]))


def statistics(
    detector: Detector,
    placed: Placed,
    found: Detections,
    whole: Named,
    *,
    finer: bool,
    second: Detector | None = None,
    second_labels: Mapping[int, int] | None = None,
) -> dict[str, Float[Tensor, "n"]]:
    """All numbers that a recipe may read, for the detections of one image.

    Args:
        detector: Who found them.
        placed: The image.
        found: The detections.
        whole: Raw predictions of the image.
        finer: Whether to look again at ``FINER`` times the resolution, where the detector can.
        second: Another detector that is asked as well.
        second_labels: Its label of each of the first's labels that it shares.
    """
    numbers = own_statistics(found, whole, placed.frame)
    if finer and isinstance(detector, FinerDetector):
        frame = detector.finer(placed.frame.image_size, FINER)
        again = detector.raw(Placed.of(placed.image, frame).pixels)
        numbers |= zip(AGAIN, again_statistics(found, again, frame), strict=True)
    if second is not None:
        frame = second.frame(placed.frame.image_size)
        (other,) = predictions(second, Placed.of(placed.image, frame).pixels, frame)
        told = again_statistics(found, other.raw, frame, second_labels)
        numbers |= zip(SECOND, told, strict=True)
    return numbers
