"""What decides a detection: the object, its surroundings, or neither shown.

Two tests, each of which sees what the other cannot: whether the object decides that something is
reported (``presence``), and that it has this class (``name``). Both must say so for ``object``.
What touches the object counts as the object. No answer depends on the image's other detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.protocol import Named
from xai_detect.trust.name import BLUR, Naming, naming
from xai_detect.trust.presence import EMPTY, Presence, presence
from xai_detect.trust.references import Reference, surroundings
from xai_detect.trust.scene import Scene, lead
from xai_detect.values.detections import Target
from xai_detect.values.findings import Answer


@dataclass(frozen=True, slots=True)
class Reasons:
    """What both tests found.

    Attributes:
        presence: Whether the object decides that something is reported.
        naming: Whether it decides the class.
    """

    presence: Presence
    naming: Naming

    @property
    def answer(self) -> Answer:
        """What decides, by both tests; with one class presence alone."""
        if Answer.SURROUNDINGS in (self.presence.answer, self.naming.answer):
            return Answer.SURROUNDINGS
        if self.naming.stage == "one_class":
            return self.presence.answer
        if self.presence.answer == self.naming.answer:
            return self.presence.answer
        return Answer.UNCLEAR


def reasons(
    scene: Scene,
    target: Target,
    whole: Named,
    near: Bool[Tensor, "a b"],
    *,
    references: Sequence[Reference] = (),
    most: int = 4,
    search: bool = True,
) -> Reasons:
    """Ask both tests about one detection.

    Args:
        scene: The image.
        target: The detection.
        whole: What the detector predicts for the image as it is.
        near: What belongs to the object, over content pixels: box and ring, or a foreground.
        references: Other images; see ``trust.references``.
        most: So many of them are asked at most; 0 leaves the swap out.
        search: Whether to look for the place that decides presence.
    """
    if bool(near.all()) or not target.score > 0:  # all is read as a share of the score
        found = presence(scene, target, near, ())
        margin = float(lead(scene.log_odds([scene.content], [whole], target), target.label)[0])
        return Reasons(found, Naming(Answer.UNMEASURED, found.stage, margin))
    fills = EMPTY[scene.domain]
    copies = [scene.alone(near, fill) for fill in fills]
    answers = scene.ask(copies)
    kept = scene.seen(answers, target).amax(dim=1) / target.score
    there = presence(scene, target, near, kept.tolist(), search)
    blurred = fills.index(BLUR)
    odds: Float[Tensor, "2 c"] = scene.log_odds(
        [scene.content, copies[blurred]], [whole, answers[blurred]], target
    )
    others = surroundings(references, target, near, most) if most else []
    name = naming(scene, target, near, odds[0], odds[1], others)
    return Reasons(there, name)
