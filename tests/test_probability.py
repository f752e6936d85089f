"""Numbers off raw predictions against slow loops, and the probability that is made of them."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.match import named
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import FinerDetector, Named, Raw
from xai_detect.errors import XaiDetectError
from xai_detect.inspection.image import detect
from xai_detect.trust.candidates import AGAIN, OWN, again_statistics, own_statistics, placed
from xai_detect.trust.probability import (
    FINER,
    RECIPES,
    SHIPPED,
    Fit,
    Probabilities,
    read_probabilities,
    statistics,
)
from xai_detect.trust.scene import predictions
from xai_detect.values.detections import UNKNOWN, Detections
from xai_detect.values.frame import Frame

SIZE = (40, 50)
FRAME = Frame.letterbox(SIZE, 64, stride=32, fill=0.5)


def random_world(seed, rows, raws, classes, per_class=False):
    """Detections and raw predictions that crowd around each other."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    def some(count):
        corner = rand(count, 2) * 12
        return torch.cat([corner, corner + 10 + 14 * rand(count, 2)], dim=1)

    places = FRAME.boxes_to_input(some(raws * (classes if per_class else 1)))
    chances = rand(1, raws, classes) ** 6
    raw = Raw(places.view(1, raws, -1, 4), chances)
    found = some(rows)
    detections = Detections(
        found, (rand(rows)).sort(descending=True)[0], (rand(rows) * classes).long(),
        (rand(rows) * (raws + 1)).long() - 1, found, SIZE,
        tuple("abcde"[:classes]),
    )  # fmt: skip
    names = torch.randperm(raws, generator=generator)[None]
    return detections, Named(raw, names, None)


def log_odds(value):
    value = min(max(value, 1e-4), 1 - 1e-4)
    return math.log(value / (1 - value))


def iou(one, other):
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0) * max(tall, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


def slow_places(raw):
    found = []
    for row, chances in enumerate(raw.probabilities[0]):
        column = int(chances.argmax()) if raw.boxes.shape[2] > 1 else 0
        found.append(FRAME.boxes_to_image(raw.boxes[0, row, column][None])[0].tolist())
    return found


def slow_own(found, whole):
    """The numbers of ``OWN``, one prediction after the other."""
    places, chances = slow_places(whole.raw), whole.raw.probabilities[0].tolist()
    rows = []
    for row, target in enumerate(found):
        overlaps = [iou(target.box, place_) for place_ in places]
        known = [k for k, name in enumerate(whole.candidates[0].tolist())
                 if name == target.candidate]  # fmt: skip
        mine = known[0] if known else overlaps.index(max(overlaps))
        others = [chance for label, chance in enumerate(chances[mine]) if label != target.label]
        stronger = [
            (iou(target.box, other.box), other.label == target.label)
            for k, other in enumerate(found)
            if other.score > target.score and k != row
        ]
        seen = [k for k in range(len(places)) if max(chances[k]) > 0.01]
        around = [overlaps[k] for k in seen if overlaps[k] > 0.45]
        repeated = [chances[k][target.label] for k in seen if overlaps[k] > 0.7]
        rows.append(
            (
                log_odds(target.score),
                log_odds(target.score) - log_odds(max(others, default=0.0)),
                max((share for share, same in stronger if same), default=0.0),
                max((share for share, same in stronger if not same), default=0.0),
                sum(around) / len(around) if around else 1.0,
                math.log(sum(repeated) + 1e-3),
            )
        )
    return rows


world = {
    "seed": st.integers(0, 999), "rows": st.integers(1, 5), "raws": st.integers(1, 30),
    "classes": st.integers(1, 4), "per_class": st.booleans(),
}  # fmt: skip


@given(**world)
def test_own_numbers_are_those_of_a_slow_loop(**given_):
    found, whole = random_world(**given_)
    fast = own_statistics(found, whole, FRAME)
    assert tuple(fast) == OWN
    for row, slow in enumerate(slow_own(found, whole)):
        for name, value in zip(OWN, slow, strict=True):
            assert float(fast[name][row]) == pytest.approx(value, abs=1e-3), name


def slow_again(found, raw, labels):
    places, chances = slow_places(raw), raw.probabilities[0].tolist()
    rows = []
    for target in found:
        other = labels.get(target.label)
        if other is None:
            rows.append((math.nan, math.nan))
            continue
        best = [
            max(
                (iou(target.box, place_) * chance[label]
                 for place_, chance in zip(places, chances, strict=True) if max(chance) > 1e-4),
                default=0.0,
            )
            for label in range(raw.probabilities.shape[2])
        ]  # fmt: skip
        rest = [value for label, value in enumerate(best) if label != other]
        rows.append(
            (log_odds(best[other]), log_odds(best[other]) - log_odds(max(rest, default=0.0)))
        )
    return rows


@given(**world, dropped=st.integers(0, 4), moved=st.booleans())
def test_another_look_is_that_of_a_slow_loop(dropped, moved, **given_):
    found, whole = random_world(**given_)
    classes = given_["classes"]
    labels = {label: (label + moved) % classes for label in range(classes) if label != dropped}
    fast = again_statistics(found, whole.raw, FRAME, labels)
    slow = slow_again(found, whole.raw, labels)
    torch.testing.assert_close(
        torch.stack(fast, dim=1).double(), torch.tensor(slow, dtype=torch.float64).view(-1, 2),
        atol=1e-3, rtol=0, equal_nan=True,
    )  # fmt: skip
    same = again_statistics(found, whole.raw, FRAME)
    every = again_statistics(found, whole.raw, FRAME, {label: label for label in range(classes)})
    for one, other in zip(same, every, strict=True):
        assert torch.equal(one, other)


def test_where_nothing_touches_the_box_it_is_not_found_again():
    row = torch.tensor([[0.0, 0.0, 5.0, 5.0]])
    label, none = torch.tensor([2]), torch.zeros(1, dtype=torch.int64)
    found = Detections(row, torch.tensor([0.9]), label, none, row, (20, 20), ("a", "b", "c"))
    raw = Raw(row.view(1, 1, 1, 4) + 10, torch.tensor([[[0.1, 0.2, 0.9]]]))
    best, margin = again_statistics(found, raw, Frame.unchanged((20, 20)))
    assert (float(best[0]), float(margin[0])) == pytest.approx((log_odds(0.0), 0.0))


def test_numbers_by_hand():
    rows = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])
    none = torch.arange(2)
    found = Detections(
        rows, torch.tensor([0.9, 0.5]), torch.tensor([0, 0]), none, rows, (20, 20), ("a", "b")
    )
    chances = torch.tensor([[[0.9, 0.1], [0.5, 0.2], [0.005, 0.001]]])
    places = torch.cat([rows, torch.tensor([[0.0, 0.0, 10.0, 10.0]])])
    whole = Named(Raw(places[None, :, None], chances), torch.arange(3)[None], None)
    numbers = own_statistics(found, whole, Frame.unchanged((20, 20)))
    assert numbers["confidence"].tolist() == pytest.approx([math.log(9), 0], abs=1e-6)
    assert numbers["margin"].tolist() == pytest.approx([2 * math.log(9), math.log(4)], abs=1e-6)
    assert numbers["overlap_same"].tolist() == [0, 0.5]
    assert numbers["overlap_other"].tolist() == [0, 0]
    assert numbers["agreement"].tolist() == pytest.approx([0.75, 0.75]), "faint ones say nothing"
    assert numbers["support"].tolist() == pytest.approx([math.log(0.901), math.log(0.501)])


def test_of_a_box_per_class_the_strongest_class_has_its_say():
    raw = Raw(torch.rand(1, 6, 3, 4), torch.rand(1, 6, 3))
    frame = Frame.unchanged((2, 2))
    strongest = raw.probabilities[0].argmax(dim=1).tolist()
    expected = torch.stack([raw.boxes[0, row, column] for row, column in enumerate(strongest)])
    torch.testing.assert_close(placed(raw, frame), expected)


def test_no_detections_have_no_numbers():
    _, whole = random_world(0, 1, 5, 2)
    none = Detections.empty(SIZE, ("a", "b"))
    numbers = own_statistics(none, whole, FRAME)
    assert all(value.shape == (0,) for value in numbers.values())
    assert [value.shape for value in again_statistics(none, whole.raw, FRAME)] == [(0,), (0,)]
    chances, recipes = read_probabilities().of(numbers)
    assert (chances.shape, recipes) == ((0,), [])


@pytest.mark.parametrize("shown", [0, 3])
def test_a_sealed_black_box_tells_no_margin(shown):
    found, _ = random_world(0, 2, 5, 2)
    raw = Raw(torch.rand(1, shown, 1, 4), torch.rand(1, shown, 2))
    whole = Named(raw, torch.full((1, shown), UNKNOWN), None)
    numbers = own_statistics(found, whole, FRAME)
    assert bool(numbers["margin"].isnan().all())
    assert bool(numbers["confidence"].isfinite().all())
    chances, recipes = read_probabilities().of(numbers)
    assert bool(chances.isnan().all())
    assert recipes == ["", ""]


def fit_of(names, weight, bias=0.5):
    count = len(names)
    return Fit((1.0,) * count, (2.0,) * count, (weight,) * count, bias)


TABLE = Probabilities(
    {name: fit_of(names, k + 1.0) for k, (name, names) in enumerate(RECIPES.items())}, "d", 0.7, 0
)


def test_each_detection_is_told_by_the_richest_recipe_that_it_has_numbers_for():
    numbers = {name: torch.tensor([1.0, 2.0, 3.0]) for name in RECIPES["second"]}
    numbers["second"] = torch.tensor([1.0, math.nan, 3.0])
    numbers["again"] = torch.tensor([1.0, 2.0, math.nan])
    chances, recipes = TABLE.of(numbers)
    assert recipes == ["second", "standard", "quick"]
    for row, (recipe, weight) in enumerate([("second", 3), ("standard", 2), ("quick", 1)]):
        logit = sum(weight * (row + 1 - 1) / 2 for _ in RECIPES[recipe]) + 0.5
        assert float(chances[row]) == pytest.approx(1 / (1 + math.exp(-logit)))


def test_a_missing_number_leaves_it_unmeasured():
    numbers = {name: torch.tensor([1.0]) for name in OWN}
    assert TABLE.of(numbers)[1] == ["quick"]
    for name in OWN:
        chances, recipes = TABLE.of({**numbers, name: torch.tensor([math.nan])})
        assert math.isnan(float(chances[0]))
        assert recipes == [""]
    del numbers["support"]
    assert math.isnan(float(TABLE.of(numbers)[0][0]))


def test_the_shipped_coefficients_are_read_as_they_are():
    table, content = read_probabilities(), json.loads(SHIPPED.read_text())
    assert list(table.fits) == ["quick", "standard", "second"]
    for name, fit in table.fits.items():
        assert list(fit.weights) == content["recipes"][name]["weights"]
        assert all(value > 0 for value in fit.deviations)
    assert table.share_right == content["provenance"]["share_right"]
    assert table.data == content["provenance"]["data"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content["recipes"].pop("quick"),
        lambda content: content["recipes"]["quick"]["names"].reverse(),
        lambda content: content["recipes"]["standard"]["weights"].pop(),
        lambda content: content["recipes"]["standard"].pop("bias"),
        lambda content: content["provenance"].pop("data"),
        lambda content: content["recipes"]["quick"].update(bias="much"),
    ],
)
def test_damaged_coefficients_are_refused(tmp_path, damage):
    content = json.loads(SHIPPED.read_text())
    damage(content)
    path = tmp_path / "probability.json"
    path.write_text(json.dumps(content))
    with pytest.raises(XaiDetectError, match=r"probability\.json"):
        read_probabilities(path)


def test_missing_coefficients_are_refused(tmp_path):
    with pytest.raises(XaiDetectError, match="cannot be read"):
        read_probabilities(tmp_path / "none.json")


class FinerToy(ToyDetector):
    """A toy that looks again with cells of the same size on a larger input."""

    def finer(self, image_size, factor):
        side = -(-round(self.letterbox * factor) // self.cell) * self.cell
        return Frame.letterbox(image_size, side, stride=self.cell, fill=0.5)


def asked(detector, image, **options):
    spot = place(detector, image)
    (whole,) = predictions(detector, spot.pixels, spot.frame)
    found = detect(detector, spot)
    return found, statistics(detector, spot, found, whole, **options)


def test_a_second_look_is_taken_at_a_higher_resolution_where_the_detector_can():
    detector = FinerToy(letterbox=64)
    assert isinstance(detector, FinerDetector)
    image = scene(("red", 5, 5))
    found, numbers = asked(detector, image, finer=True)
    assert set(numbers) == {*OWN, *AGAIN}
    frame = detector.finer((64, 64), FINER)
    assert frame.input_size == (96, 96)
    expected = again_statistics(found, detector.raw(frame.to_input(image[None])), frame)
    assert torch.equal(numbers["again"], expected[0])
    _, less = asked(detector, image, finer=False)
    assert set(less) == set(OWN)
    _, plain = asked(ToyDetector(), image, finer=True)
    assert set(plain) == set(OWN)


@pytest.mark.parametrize("wrap", [lambda toy: toy, RawToy, SealedToy])
def test_another_detector_is_asked_for_the_classes_that_it_shares(wrap):
    image = scene(("red", 5, 5), ("green", 1, 1))
    found, numbers = asked(
        ToyDetector(), image, finer=False, second=wrap(ToyDetector()), second_labels={0: 0}
    )
    red = found.labels == 0
    assert bool(numbers["second"][red].isfinite().all())
    assert bool(numbers["second"][~red].isnan().all())
    assert float(numbers["second"][red][0]) == pytest.approx(
        float(numbers["confidence"][red][0]), abs=1e-3
    )


def test_raw_predictions_are_named_by_their_rows_unless_the_detector_names_them():
    toy = ToyDetector()
    pixels = scene(("red", 5, 5))[None].repeat(2, 1, 1, 1)
    found = named(toy, pixels)
    assert found.candidates.shape == found.raw.boxes.shape[:2]
    assert found.candidates[1].tolist() == list(range(64))
    assert found.proposals is None

    class Naming(RawToy):
        def named(self, pixels):
            return Named(self.raw(pixels), torch.full((len(pixels), 64), 7), None)

    assert named(Naming(toy), pixels).candidates.unique().tolist() == [7]
