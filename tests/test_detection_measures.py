import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_matching import FAR, NEAR_A, A, B, found, real

from xai_detect.measures.detection import FIGURES, average_precision, threshold_curve
from xai_detect.measures.matching import match
from xai_detect.values.truth import ANY_CLASS


def figures(*images):
    return average_precision(images, 3).figures


def test_perfect_detections_score_one_and_empty_sizes_have_no_answer():
    result = average_precision([(found((A, 0, 0.9), (FAR, 1, 0.8)), real((A, 0), (FAR, 1)))], 3)
    assert tuple(result.figures) == FIGURES
    assert result.figures["AP"] == result.figures["AP_small"] == pytest.approx(1)
    assert math.isnan(result.figures["AP_large"])
    assert result.per_class[:2] == pytest.approx((1, 1))
    assert math.isnan(result.per_class[2])
    assert result.curves_50.shape == (3, 101)


def test_ap_by_hand():
    # Best score wrong, second right with IoU 0.8: precision 1/2 at every recall, for the seven
    # thresholds 0.50 to 0.80.
    scene = (found((FAR, 0, 0.9), (A, 0, 0.8)), real((NEAR_A, 0)))
    result = figures(scene)
    assert result["AP50"] == result["AP75"] == pytest.approx(0.5)
    assert result["AP"] == pytest.approx(0.35)
    assert (result["AR1"], result["AR100"]) == pytest.approx((0.0, 0.7))


def test_crowds_difficult_objects_and_regions_for_all_classes_are_not_counted():
    inside = (2, 2, 5, 5)
    truth = real(
        (B, 0), (A, 0, "crowd"), (FAR, 0, "difficult"), ((80, 0, 99, 20), ANY_CLASS, "crowd")
    )
    detections = found(
        (inside, 0, 0.9),
        (FAR, 0, 0.8),
        ((85, 5, 90, 10), 0, 0.7),
        ((85, 5, 90, 10), 2, 0.65),
        (B, 0, 0.6),
    )
    result = average_precision([(detections, truth)], 3)
    assert result.per_class[0] == pytest.approx(1)
    assert math.isnan(result.per_class[2])


@pytest.mark.parametrize(
    "images",
    [[], [(found(), real())], [(found((A, 0, 0.9)), real())]],
    ids=["no images", "nothing", "no objects"],
)
def test_without_objects_there_is_no_answer(images):
    result = average_precision(images, 3)
    assert all(math.isnan(value) for value in (*result.figures.values(), *result.per_class))


def test_without_detections_the_answer_is_zero():
    assert figures((found(), real((A, 0))))["AP"] == 0


def test_it_prints_nothing(capsys):
    figures((found((A, 0, 0.9)), real((A, 0))))
    assert capsys.readouterr().out == ""


def slow_ap50(images, label):
    """Area under the interpolated curve, from the package's own matching."""
    rows = []
    objects = 0
    for detections, truth in images:
        matches = match(detections, truth)
        objects += int((truth.counted & (truth.labels == label)).sum())
        rows += [
            (float(detections.scores[n]), bool(matches.right[n]))
            for n in range(len(detections))
            if detections.labels[n] == label and not matches.ignored[n]
        ]
    if objects == 0:
        return math.nan
    rows.sort(key=lambda row: -row[0])
    points, right = [], 0
    for kept, (_, hit) in enumerate(rows, start=1):
        right += hit
        points.append((right / objects, right / kept))
    return float(
        np.mean(
            [
                max((p for r, p in points if r >= level - 1e-12), default=0.0)
                for level in np.linspace(0, 1, 101)
            ]
        )
    )


box = st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 6)] * 2).map(
    lambda row: (row[0], row[1], row[0] + row[2], row[1] + row[3])
)
kinds = st.sampled_from(["", "", "crowd", "difficult"])
images = st.lists(
    st.tuples(
        st.lists(st.tuples(box, st.integers(0, 1)), max_size=6),
        st.lists(st.tuples(box, st.integers(0, 1), kinds), max_size=5),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(images)
def test_ap50_equals_a_slow_second_implementation(rows):
    scenes = []
    for number, (detected, truth) in enumerate(rows):
        # Every score differs, because the order of equal scores is a matter of taste.
        scored = [
            (b, label, 0.95 - 0.1 * n - 0.01 * number) for n, (b, label) in enumerate(detected)
        ]
        scenes.append((found(*scored), real(*truth)))
    result = average_precision(scenes, 3).per_class_50
    assert result == pytest.approx([slow_ap50(scenes, label) for label in range(3)], nan_ok=True)


def test_the_threshold_curve_by_hand():
    curve = threshold_curve(
        torch.tensor([0.2, 0.9, 0.5, 0.5]), torch.tensor([1.0, 1.0, 0.0, 1.0]), 4
    )
    torch.testing.assert_close(curve.confidence.float(), torch.tensor([0.9, 0.5, 0.2]))
    assert curve.precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4])
    assert curve.recall.tolist() == pytest.approx([1 / 4, 2 / 4, 3 / 4])
    assert curve.f1.tolist() == pytest.approx([2 / 5, 4 / 7, 6 / 8])
    assert curve.best == pytest.approx((0.75, 0.2))


def test_the_threshold_curve_of_nothing():
    empty = threshold_curve(torch.zeros(0), torch.zeros(0), 3)
    assert all(map(math.isnan, empty.best))
    no_objects = threshold_curve(torch.tensor([0.5]), torch.tensor([0.0]), 0)
    assert no_objects.recall.isnan().all()
    assert no_objects.best[0] == 0
