"""What is measured for one detection, by name; NaN means unmeasured.

======================= ===========================================================================
score                   confidence that was reported, in [0, 1]
probability             probability that the detection is right as annotated; ``trust.probability``
share_right             share of right ones among the detections that it was fitted on
margin                  log-odds by which the class leads at its raw prediction
presence_first          P of box and ring alone on the first fill of ``presence.EMPTY``: the highest
                        probability of any class there, over the score
presence_second         the same on the second fill
presence_hidden         P with the places that decide hidden, by the second fill for hidden parts
presence_restored       P of box and places alone
presence_placebo        P with as large a part hidden elsewhere
name_box                margin of box and ring alone on blur, over the whole image's
name_hidden             the same with the strongest region of the surroundings hidden
name_placebo            the same with as large a region hidden elsewhere
name_seen               share of the score that some class keeps without that region
swapped                 surroundings of other images that were asked
renamed                 how many of them took the name away
detected_box            share of the positive evidence of the map *why detected* in the box
detected_ring           ... in the ring around it
detected_outside        ... beyond
detected_elsewhere      ... in the best square of a tenth of the side beyond, which touches no ring
detected_ratio          ``detected_elsewhere`` over what the best such square holds of box and ring
detected_gathered       ``detected_elsewhere`` over ``detected_outside``
class_box ... _gathered the same six of the map *why this class*
evidence_outside        1 if a map's ratio and gathered share reach their limits, else 0
completeness_error      part of the score that the worse of both maps misses
settled                 largest change of a share by the last cut of the maps' path
repeatability           cosine of the map with that of a shifted, noisy copy, in [-1, 1]
box_share               share of the image that the box covers
test_passes             forward passes of both tests; a backward pass counts as one
map_passes              forward passes of both maps; likewise
======================= ===========================================================================

Words beside them: ``reason``, ``presence``, ``name``, ``swap`` (what decides, by both tests and by
each), ``presence_stage`` and ``name_stage`` (where a test ended), ``map`` (``reliable``,
``unreliable`` or ``none``), ``class`` and ``rival`` (class names), ``recipe``, ``fitted`` and
``data`` (how the probability was made, whether for this detector, and on what), ``domain``,
``budget``. Places: ``presence``, ``name`` and ``map``, what
each found in the surroundings.
"""

from xai_detect.trust.maps import SHARES_OF

NAMES = (
    "score", "probability", "share_right", "margin",
    "presence_first", "presence_second", "presence_hidden", "presence_restored", "presence_placebo",
    "name_box", "name_hidden", "name_placebo", "name_seen", "swapped", "renamed",
    *(f"detected_{name}" for name in SHARES_OF), *(f"class_{name}" for name in SHARES_OF),
    "evidence_outside", "completeness_error", "settled", "repeatability", "box_share",
    "test_passes", "map_passes",
)  # fmt: skip
"""All numbers there are; what they mean stands at the top."""

WORDS = (
    "reason", "presence", "presence_stage", "name", "name_stage", "swap", "map", "class", "rival",
    "recipe", "fitted", "data", "domain", "budget",
)  # fmt: skip
