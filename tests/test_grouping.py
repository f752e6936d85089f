"""Detections of one item: by hand, against a slow loop, and what always holds."""

from hypothesis import given
from test_matching import FAR, A, B, detected, found

from xai_detect.measures.grouping import groups, unclear_name


def test_groups_across_classes_by_hand():
    detections = found(
        (A, 0, 0.9), (B, 1, 0.8), ((0, 0, 10, 8), 1, 0.7), (FAR, 2, 0.6), (B, 1, 0.5)
    )
    assert groups(detections) == ((0, 2), (1, 4), (3,))


def test_an_overlap_of_exactly_the_least_joins():
    assert groups(found((A, 0, 0.9), ((0, 0, 10, 7), 1, 0.8))) == ((0, 1),)
    assert groups(found((A, 0, 0.9), ((0, 0, 10, 6.99), 1, 0.8))) == ((0,), (1,))
    assert groups(found((A, 0, 0.9), ((0, 0, 10, 5), 1, 0.8)), 0.5) == ((0, 1),)


def test_no_chain_leads_from_one_item_to_the_next():
    steps = [((2 * n, 0, 2 * n + 20, 10), 0, 0.9 - n / 10) for n in range(3)]
    assert groups(found(*steps)) == (
        (0, 1),
        (2,),
    )  # 18 / 22 of the first and second, 16 / 24 of the ends


def test_nothing_found_has_no_groups_and_boxes_without_area_are_alone():
    assert groups(found()) == ()
    line = (5, 5, 5, 9)
    assert groups(found((line, 0, 0.9), (line, 0, 0.8))) == ((0,), (1,))


def iou(a, b):
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


@given(detected)
def test_grouping_equals_a_slow_loop(rows):
    heads = {}
    for row, (box, _) in enumerate(rows):
        head = next((head for head in heads if iou(rows[head][0], box) >= 0.7), row)
        heads.setdefault(head, []).append(row)
    detections = found(*[(box, label, 1 - n / 10) for n, (box, label) in enumerate(rows)])
    found_groups = groups(detections)
    assert [list(group) for group in found_groups] == list(heads.values())
    assert sorted(row for group in found_groups for row in group) == list(range(len(rows)))


def test_an_unclear_name_is_said_with_every_class_once():
    detections = found((A, 0, 0.573), (A, 1, 0.49), (A, 0, 0.4), (A, 2, 0.3))
    assert unclear_name(detections, (0, 1)) == (
        "One item, name unclear: zebra 0.57 or giraffe 0.49."
    )
    assert unclear_name(detections, (0, 1, 2, 3)) == (
        "One item, name unclear: zebra 0.57, giraffe 0.49 or cow 0.30."
    )


def test_one_name_is_clear():
    detections = found((A, 0, 0.5), (A, 1, 0.4), (A, 0, 0.3))
    assert unclear_name(detections, (0, 2)) == unclear_name(detections, (1,)) == ""
    assert unclear_name(detections, ()) == ""
