import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.measures.matching import Counts, confusion, counts_per_class, match
from xai_detect.values import boxes
from xai_detect.values.detections import Detections
from xai_detect.values.truth import ANY_CLASS, Truth

NAMES = ("zebra", "giraffe", "cow")


def found(*rows):
    """Detections from ``(box, label, score)``."""
    if not rows:
        return Detections.empty((100, 100), NAMES)
    box_rows = torch.tensor([row[0] for row in rows], dtype=torch.float32)
    return Detections(
        boxes=box_rows,
        scores=torch.tensor([row[2] for row in rows]),
        labels=torch.tensor([row[1] for row in rows]),
        candidates=torch.arange(len(rows)),
        proposals=box_rows,
        image_size=(100, 100),
        class_names=NAMES,
    )


def real(*rows):
    """Truth from ``(box, label)`` or ``(box, label, kind)``."""
    box_rows = torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4)
    kinds = [row[2] if len(row) > 2 else "" for row in rows]
    return Truth(
        box_rows,
        torch.tensor([row[1] for row in rows], dtype=torch.int64),
        boxes.area(box_rows),
        torch.tensor([kind == "crowd" for kind in kinds], dtype=torch.bool),
        torch.tensor([kind == "difficult" for kind in kinds], dtype=torch.bool),
    )


A, B, NEAR_A, FAR = (0, 0, 10, 10), (20, 0, 30, 10), (0, 0, 10, 8), (60, 60, 70, 70)


def taken_for(detections, truth, class_count=3):
    """What was taken for what."""
    return confusion(detections, truth, match(detections, truth), class_count)


def fates(detections, truth):
    matches = match(detections, truth)
    return [
        "ignored" if ignored else ("right" if row >= 0 else "wrong")
        for row, ignored in zip(matches.truth.tolist(), matches.ignored.tolist(), strict=True)
    ]


def test_pairs_and_overlaps_by_hand():
    matches = match(
        found((A, 0, 0.9), (NEAR_A, 0, 0.8), (B, 1, 0.7), (FAR, 0, 0.6)), real((NEAR_A, 0), (B, 0))
    )
    assert matches.truth.tolist() == [0, -1, -1, -1]
    assert matches.iou[0] == pytest.approx(0.8)
    assert matches.iou[1:].isnan().all()
    assert matches.right.tolist() == [True, False, False, False]
    assert matches.wrong.tolist() == [False, True, True, True]


def test_a_detection_takes_the_object_it_overlaps_most():
    shifted = (0, 0, 10, 9)
    assert match(found((A, 0, 0.9)), real((NEAR_A, 0), (shifted, 0))).truth.tolist() == [1]


def test_an_overlap_of_exactly_one_half_is_a_pair():
    assert fates(found((A, 0, 0.9)), real(((0, 0, 10, 5), 0))) == ["right"]
    assert fates(found((A, 0, 0.9)), real(((0, 0, 10, 4.99), 0))) == ["wrong"]


def test_a_crowd_takes_any_number_and_a_difficult_object_one():
    inside = (2, 2, 5, 5)
    assert fates(found((inside, 0, 0.9), (inside, 0, 0.8)), real((A, 0, "crowd"))) == [
        "ignored",
        "ignored",
    ]
    assert fates(found((A, 0, 0.9), (A, 0, 0.8)), real((A, 0, "difficult"))) == ["ignored", "wrong"]
    assert fates(found((inside, 1, 0.9)), real((A, 0, "crowd"))) == ["wrong"]


def test_a_counted_object_goes_before_an_ignored_one():
    truth = real((A, 0, "difficult"), (NEAR_A, 0))
    assert fates(found((A, 0, 0.9)), truth) == ["right"]


def test_a_region_for_all_classes_ignores_every_class():
    truth = real((A, ANY_CLASS, "crowd"))
    assert fates(found((A, 0, 0.9), (A, 2, 0.8), (FAR, 1, 0.7)), truth) == [
        "ignored",
        "ignored",
        "wrong",
    ]
    with pytest.raises(InputError, match="crowd region"):
        real((A, ANY_CLASS))


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_to_match_keeps_its_shape(n, m):
    detections, truth = found(*[(A, 0, 0.5)] * n), real(*[(A, 0)] * m)
    matches = match(detections, truth)
    assert matches.truth.shape == (n,)
    assert not matches.right.any()
    matrix = taken_for(detections, truth)
    assert matrix.sum() == n + m
    assert (matrix[3, 0], matrix[0, 3]) == (n, m)


def test_what_was_taken_for_what_by_hand():
    truth = real((A, 0), (B, 1), (FAR, 2))
    detections = found((A, 1, 0.9), (B, 1, 0.8), (NEAR_A, 0, 0.7), ((40, 40, 50, 50), 2, 0.6))
    expected = torch.zeros(4, 4, dtype=torch.int64)
    expected[0, 1] = 1  # the zebra, overlapped best by a "giraffe"
    expected[1, 1] = 1
    expected[3, 0] = 1  # the second box on the zebra finds it taken
    expected[2, 3] = 1
    expected[3, 2] = 1
    assert torch.equal(taken_for(detections, truth), expected)


def test_of_equal_overlaps_the_right_class_goes_first():
    matrix = taken_for(found((A, 1, 0.9), (A, 0, 0.8)), real((A, 0)))
    assert (matrix[0, 0], matrix[3, 1], matrix.sum()) == (1, 1, 2)


def test_ignored_detections_are_not_in_the_confusion_matrix():
    truth = real((A, 0, "crowd"), ((20, 0, 30, 10), 1, "difficult"))
    assert taken_for(found((A, 0, 0.9), (B, 1, 0.8)), truth).sum() == 0


def test_precision_recall_and_f1_by_hand():
    counts = Counts(right=3, wrong=1, missed=2)
    assert (counts.precision, counts.recall) == (0.75, 0.6)
    assert counts.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    nothing = Counts(0, 0, 0)
    assert all(map(math.isnan, (nothing.precision, nothing.recall, nothing.f1)))
    assert Counts(0, 1, 0).f1 == 0


def test_counts_per_class_by_hand():
    detections, truth = (
        found((A, 0, 0.9), (B, 1, 0.8), (FAR, 1, 0.7)),
        real((A, 0), (B, 0), (FAR, 1, "difficult")),
    )
    zebra, giraffe, cow = counts_per_class(detections, truth, match(detections, truth), 3)
    assert (zebra, giraffe, cow) == (Counts(1, 0, 1), Counts(0, 1, 0), Counts(0, 0, 0))
    assert zebra + giraffe == Counts(1, 1, 1)


def slow_match(detections, truth):
    """COCO's rule written as a plain loop over objects with ignored ones last."""
    order = sorted(range(len(truth)), key=lambda row: not bool(truth.counted[row]))
    taken, result = set(), []
    for target in detections:
        best, least = None, 0.5
        for row in order:
            if row in taken and not truth.crowd[row]:
                continue
            if truth.labels[row] not in (target.label, ANY_CLASS):
                continue
            if best is not None and truth.counted[best] and not truth.counted[row]:
                break
            a, b = target.box, truth.boxes[row].tolist()
            common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(
                min(a[3], b[3]) - max(a[1], b[1]), 0
            )
            own = (a[2] - a[0]) * (a[3] - a[1])
            whole = own if truth.crowd[row] else own + (b[2] - b[0]) * (b[3] - b[1]) - common
            overlap = common / whole if whole else 0
            if overlap > least or (overlap >= least and best is None):
                best, least = row, overlap
        if best is None:
            result.append("wrong")
        else:
            taken.add(best)
            result.append("right" if truth.counted[best] else "ignored")
    return result


box = st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 6)] * 2).map(
    lambda row: (row[0], row[1], row[0] + row[2], row[1] + row[3])
)
detected = st.lists(st.tuples(box, st.integers(0, 1)), max_size=8)
objects = st.lists(
    st.tuples(box, st.integers(0, 1), st.sampled_from(["", "", "crowd", "difficult"])), max_size=6
)


@given(detected, objects)
def test_matching_equals_a_slow_loop(rows, truth_rows):
    detections = found(*[(b, label, 1 - n / 10) for n, (b, label) in enumerate(rows)])
    truth = real(*truth_rows)
    assert fates(detections, truth) == slow_match(detections, truth)


@given(detected, objects, st.tuples(st.integers(0, 8), st.integers(0, 8)))
def test_weak_detections_of_a_class_never_change_the_others(rows, truth_rows, limits):
    scored = [(b, label, 1 - n / 10) for n, (b, label) in enumerate(rows)]
    kept = [n < limits[label] for n, (_, label) in enumerate(rows)]
    truth, everything = real(*truth_rows), found(*scored)
    strong = found(*[row for row, keep in zip(scored, kept, strict=True) if keep])
    expected, matches = match(strong, truth), match(everything, truth).of(torch.tensor(kept).bool())
    assert torch.equal(matches.truth, expected.truth)
    assert torch.equal(matches.ignored, expected.ignored)
    torch.testing.assert_close(matches.iou, expected.iou, equal_nan=True, rtol=0, atol=0)


@given(detected, objects)
def test_right_and_missed_are_the_counted_objects_and_right_and_wrong_the_judged_detections(
    rows, truth_rows
):
    detections = found(*[(b, label, 1 - n / 10) for n, (b, label) in enumerate(rows)])
    truth = real(*truth_rows)
    matches = match(detections, truth)
    for label, counts in enumerate(counts_per_class(detections, truth, matches, 3)):
        assert counts.right + counts.missed == (truth.counted & (truth.labels == label)).sum()
        own = detections.labels == label
        assert counts.right + counts.wrong == (own & ~matches.ignored).sum()
        assert counts.right == (own & matches.right).sum()
    pairs = matches.truth[matches.right].tolist()
    assert len(set(pairs)) == len(pairs)
    assert truth.counted[pairs].all()


@given(detected, objects)
def test_the_overlap_of_a_pair_is_its_iou(rows, truth_rows):
    detections = found(*[(b, label, 1 - n / 10) for n, (b, label) in enumerate(rows)])
    truth = real(*truth_rows)
    matches = match(detections, truth)
    for row, (column, iou) in enumerate(
        zip(matches.truth.tolist(), matches.iou.tolist(), strict=True)
    ):
        if column < 0:
            assert math.isnan(iou)
        else:
            pair = boxes.iou(detections.boxes[row : row + 1], truth.boxes[column : column + 1])
            assert iou == pytest.approx(float(pair))
            assert iou >= 0.5


def slow_confusion(detections, truth, class_count, least_iou=0.5):
    """The best pair that is left, again and again."""
    ignored = match(detections, truth, least_iou).ignored.tolist()
    rows = [row for row in range(len(detections)) if not ignored[row]]
    columns = truth.counted.nonzero().flatten().tolist()
    ious = boxes.iou(detections.boxes.double(), truth.boxes.double()).tolist()
    found_labels, real_labels = detections.labels.tolist(), truth.labels.tolist()
    matrix = torch.zeros(class_count + 1, class_count + 1, dtype=torch.int64)
    while True:
        best = None
        for row in rows:
            for column in columns:
                rank = (ious[row][column], found_labels[row] == real_labels[column])
                if rank[0] >= least_iou and (best is None or rank > best[0]):
                    best = (rank, row, column)
        if best is None:
            break
        _, row, column = best
        matrix[real_labels[column], found_labels[row]] += 1
        rows.remove(row)
        columns.remove(column)
    for column in columns:
        matrix[real_labels[column], class_count] += 1
    for row in rows:
        matrix[class_count, found_labels[row]] += 1
    return matrix


@given(detected, objects)
def test_what_was_taken_for_what_equals_a_slow_loop(rows, truth_rows):
    detections = found(*[(b, label, 1 - n / 10) for n, (b, label) in enumerate(rows)])
    truth = real(*truth_rows)
    assert torch.equal(taken_for(detections, truth), slow_confusion(detections, truth, 3))


def test_an_overlap_of_exactly_the_least_is_a_pair_in_the_confusion_matrix():
    half, less = real(((0, 0, 10, 5), 1)), real(((0, 0, 10, 4.99), 1))
    assert taken_for(found((A, 0, 0.9)), half)[1, 0] == 1
    assert taken_for(found((A, 0, 0.9)), less)[1, 0] == 0
    wanted = match(found((A, 1, 0.9)), real((NEAR_A, 1)), 0.8)
    assert wanted.right.tolist() == [True]
    assert not match(found((A, 1, 0.9)), real((NEAR_A, 1)), 0.81).right.any()
    matches = match(found((A, 0, 0.9)), real((NEAR_A, 1)), 0.81)
    stricter = confusion(found((A, 0, 0.9)), real((NEAR_A, 1)), matches, 3, 0.81)
    assert (stricter[1, 0], stricter[1, 3], stricter[3, 0]) == (0, 1, 1)


def test_boxes_without_area_are_no_pair():
    line = (5, 5, 5, 9)
    assert fates(found((line, 0, 0.9)), real((line, 0))) == ["wrong"]
    assert fates(found((line, 0, 0.9)), real((A, 0, "crowd"))) == ["wrong"]


@given(detected, objects)
def test_every_object_and_judged_detection_is_in_the_confusion_matrix_once(rows, truth_rows):
    detections = found(*[(b, label, 1 - n / 10) for n, (b, label) in enumerate(rows)])
    truth = real(*truth_rows)
    matrix = taken_for(detections, truth)
    assert matrix[:3].sum() == truth.counted.sum()
    assert matrix[:, :3].sum() == (~match(detections, truth).ignored).sum()


def test_of_two_difficult_objects_the_nearer_one_is_taken():
    left, right = (0.0, 0.0, 10.0, 10.0), (2.0, 0.0, 12.0, 10.0)
    truth = Truth(
        boxes=torch.tensor([left, right]),
        labels=torch.zeros(2, dtype=torch.int64),
        areas=torch.full((2,), 100.0),
        crowd=torch.zeros(2, dtype=torch.bool),
        difficult=torch.ones(2, dtype=torch.bool),
    )
    detections = found((right, 0, 0.9), ((0.0, 0.0, 7.0, 10.0), 0, 0.8))
    assert match(detections, truth).ignored.tolist() == [True, True]
