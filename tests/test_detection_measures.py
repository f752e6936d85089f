import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval
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


def test_figures_of_a_class_by_hand():
    # An IoU of 0.52 is enough for the first threshold alone.
    loose = average_precision([(found((A, 1, 0.9)), real(((0, 0, 10, 5.2), 1)))], 3)
    assert loose.per_class[1] == pytest.approx(0.1)
    assert loose.figures["AP"] == pytest.approx(0.1)
    assert loose.per_class_50[1] == pytest.approx(1)
    assert loose.curves_50[1].tolist() == pytest.approx([1] * 101)
    assert loose.curves_50[0].isnan().all()
    # One of two large objects is found, after eleven mistakes: precision 1/12 up to recall 1/2.
    large, other = (0, 0, 99, 99), (0, 0, 40, 99)
    rows = [(FAR, 0, 0.9 - n / 100) for n in range(11)]
    late = average_precision([(found(*rows, (large, 0, 0.5)), real((large, 0), (other, 0)))], 3)
    assert late.curves_50[0].tolist() == pytest.approx([1 / 12] * 51 + [0] * 50)
    assert late.per_class_50[0] == pytest.approx(51 / 101 / 12)
    assert late.per_class[0] == pytest.approx(51 / 101 / 12)
    assert late.figures["AP"] == pytest.approx(51 / 101 / 12)
    assert (late.figures["AR1"], late.figures["AR10"], late.figures["AR100"]) == (0, 0, 0.5)


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


def test_it_prints_nothing_and_leaves_the_stdout_of_others_alone(capsys, monkeypatch):
    stdout, seen = sys.stdout, []
    scored = COCOeval.computeIoU

    def watched(self, *arguments):
        seen.append(sys.stdout is stdout)
        sys.stdout.write("another thread speaks\n")
        return scored(self, *arguments)

    monkeypatch.setattr(COCOeval, "computeIoU", watched)
    figures((found((A, 0, 0.9)), real((A, 0))))
    assert seen
    assert all(seen)
    assert set(capsys.readouterr().out.splitlines()) == {"another thread speaks"}


def test_sizes_come_from_the_annotated_area_and_wrong_boxes_count_in_their_own_size():
    small, large = (0, 0, 10, 10), (0, 0, 99, 99)
    both = figures((found((large, 0, 0.9), (small, 0, 0.8)), real((small, 0))))
    assert both["AP_small"] == pytest.approx(1)  # the large box is no small mistake
    assert both["AP50"] == pytest.approx(0.5)
    masked = replace(real((small, 0)), areas=torch.tensor([2000.0]))
    result = figures((found((small, 0, 0.9)), masked))
    assert result["AP_medium"] == pytest.approx(1)
    assert math.isnan(result["AP_small"])
    wide = (0, 0, 64, 8)  # 512 square pixels: small, though it is longer than 32
    wrong = (found((wide, 0, 0.9), ((80, 80, 90, 90), 0, 0.8)), real(((80, 80, 90, 90), 0)))
    assert figures(wrong)["AP_small"] == pytest.approx(0.5)


def test_at_most_a_hundred_detections_of_a_class_and_image_are_scored():
    def after(wrong):
        rows = [(FAR, 0, 0.9)] * wrong + [(A, 0, 0.8)]
        return figures((found(*rows), real((A, 0))))["AP50"]

    assert after(99) == pytest.approx(1 / 100)
    assert after(100) == 0


def test_images_are_scored_apart():
    split = [(found((A, 0, 0.9)), real()), (found(), real((A, 0)))]
    assert figures(*split)["AP50"] == 0


def test_an_object_of_area_zero_still_has_to_be_found():
    assert figures((found(), real(((5, 5, 5, 9), 0))))["AP50"] == 0


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


@settings(max_examples=30)
@given(images)
def test_figures_are_shares_and_a_last_mistake_never_raises_them(rows):
    scenes = [
        (found(*[(b, label, 0.9 - 0.1 * n) for n, (b, label) in enumerate(detected)]), real(*truth))
        for detected, truth in rows
    ]
    before = average_precision(scenes, 3)
    for value in (*before.figures.values(), *before.per_class):
        assert math.isnan(value) or 0 <= value <= 1
    scored = [(b, label, 0.9 - 0.1 * n) for n, (b, label) in enumerate(rows[0][0])]
    more = found(*scored, ((80, 80, 99, 99), 0, 0.01))
    after = average_precision([(more, scenes[0][1]), *scenes[1:]], 3)
    for name, value in before.figures.items():
        assert math.isnan(value) or after.figures[name] <= value + 1e-12


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=10),
    st.integers(0, 5),
    st.randoms(),
)
def test_the_threshold_curve_equals_a_slow_loop_in_any_order(rows, spare, random):
    objects = sum(right for _, right in rows) + spare
    mixed = random.sample(rows, len(rows))
    curve = threshold_curve(
        torch.tensor([score / 4 for score, _ in mixed]),
        torch.tensor([float(right) for _, right in mixed]),
        objects,
    )
    levels = sorted({score / 4 for score, _ in rows}, reverse=True)
    assert curve.confidence.tolist() == levels
    for row, level in enumerate(levels):
        kept = [right for score, right in rows if score / 4 >= level]
        hits = sum(kept)
        assert curve.precision[row] == pytest.approx(hits / len(kept))
        assert curve.recall[row] == pytest.approx(
            hits / objects if objects else math.nan, nan_ok=True
        )
        assert curve.f1[row] == pytest.approx(2 * hits / (len(kept) + objects))
    if levels:
        best = max(range(len(levels)), key=lambda row: float(curve.f1[row]))
        assert curve.best == (float(curve.f1[best]), levels[best])


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


def test_the_area_of_a_mistake_is_its_own_wherever_it_lies():
    small, far = (0, 0, 10, 10), (90, 90, 98, 98)
    result = figures((found((far, 0, 0.9), (small, 0, 0.8)), real((small, 0))))
    assert result["AP_small"] == pytest.approx(0.5), "a small mistake counts among the small"
