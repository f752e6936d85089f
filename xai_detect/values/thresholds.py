"""From which confidence on a detection counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.values.detections import Detections, label_of


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The operating threshold: detections above it are kept.

    Attributes:
        default: In [0, 1]; for every class without one of its own.
        by_class: In [0, 1], by the detector's name of the class.

    Raises:
        InputError: If a threshold is not in [0, 1].
    """

    default: float
    by_class: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {f"confidence of {name!r}": value for name, value in self.by_class.items()}
        for name, value in {"confidence": self.default, **named}.items():
            if not 0 <= value <= 1:
                raise InputError(f"{name} is {value:g}; expected a threshold in [0, 1]")

    @classmethod
    def of(cls, given: "float | Thresholds") -> "Thresholds":
        """One number for all classes, or thresholds as they are."""
        return given if isinstance(given, Thresholds) else cls(float(given))

    @property
    def lowest(self) -> float:
        """The smallest of them: what a detector has to be asked for."""
        return min([self.default, *self.by_class.values()])

    def limits(self, class_names: tuple[str, ...]) -> Float[Tensor, "c"]:
        """The threshold of each class, in label order.

        Raises:
            TargetError: If a class with a threshold of its own is not among them.
        """
        limits = torch.full((len(class_names),), self.default, dtype=torch.float32)
        for name, value in self.by_class.items():
            limits[label_of(name, class_names)] = value
        return limits

    def keep(self, detections: Detections) -> Bool[Tensor, "n"]:
        """Which detections lie above the threshold of their class.

        Raises:
            TargetError: If the detector lacks a class with a threshold of its own.
        """
        return detections.scores > self.limits(detections.class_names)[detections.labels]

    def __str__(self) -> str:
        own = "".join(f", {name} {value:g}" for name, value in self.by_class.items())
        return f"{self.default:g}{own}"
