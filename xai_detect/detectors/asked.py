"""Whether a question can be put to a network at all."""

from collections.abc import Sequence

from xai_detect.errors import TargetError
from xai_detect.values.detections import UNKNOWN, Target


def check_targets(targets: Sequence[Target], classes: int) -> None:
    """Check that every target names a raw prediction and a class of this network.

    Raises:
        TargetError: If a box came from elsewhere and was matched to no raw prediction, or there
            is no such class.
    """
    for target in targets:
        if target.candidate == UNKNOWN:
            raise TargetError(
                f"this {target.name} has no raw prediction of this detector (candidate "
                f"{UNKNOWN}); match it with match_candidates, or use a method that needs only "
                "scores, such as occlusion or d_rise"
            )
        if not 0 <= target.label < classes:
            raise TargetError(
                f"class {target.label} does not exist; this network has {classes} classes"
            )


def check_candidates(targets: Sequence[Target], count: int) -> None:
    """Check that every target's candidate is one of a network's raw predictions.

    Raises:
        TargetError: If it is not.
    """
    for target in targets:
        if not 0 <= target.candidate < count:
            raise TargetError(
                f"candidate {target.candidate} does not exist; at this input size the network has "
                f"{count}: use the frame of the same image"
            )
