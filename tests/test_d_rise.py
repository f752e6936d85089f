"""D-RISE and its estimators: by hand, against a slow loop, intervals that hold, early stops."""

import itertools
import math

import pytest
import torch
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.masks.bank import DESIGNS, PHASES, Draw, MaskBank, Raster
from xai_detect.explainers.masks.d_rise import DRise
from xai_detect.explainers.masks.estimate import ESTIMATORS, MaskEstimator
from xai_detect.inspection.image import detect
from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.images import load_image


def found(detector, image):
    return list(detect(detector, image))


def drawn(bank, count):
    blocks = list(bank.blocks(count))
    return Draw(torch.cat([one.shown for one in blocks]), torch.cat([one.phases for one in blocks]))


def seen_at(bank, count, rows, columns, size=(8, 8)):
    """How far each mask shows some pixels of an image of that size."""
    masks = Raster(bank.grid, size).masks(drawn(bank, count))
    return masks[:, rows, columns]


def true_map(bank, row, column, size=(8, 8)):
    """The exact covariance of all pixels with one, over every mask and shift there is."""
    grid = bank.grid
    raster = Raster(grid, size)
    cells = torch.eye(grid**2).view(-1, grid, grid)
    total = torch.zeros(size)
    for shift in itertools.product(range(PHASES), repeat=2):
        phases = torch.tensor([shift] * grid**2)
        rows, columns = raster.rows[phases[:, 0]], raster.columns[phases[:, 1]]
        weights = rows @ cells @ columns.transpose(1, 2)  # (cells, h, w): independent cells
        total += torch.einsum("c,chw->hw", weights[:, row, column], weights) / PHASES**2
    return total


@pytest.mark.parametrize("design", DESIGNS)
def test_the_map_against_the_slow_definition(design):
    detector = ToyDetector(curved=True, letterbox=96)
    image = scene(("red", 2, 3), ("blue", 3, 1), size=(32, 96))
    targets = found(detector, image)
    assert len(targets) == 2
    method = DRise(masks=264, grid=4, design=design, estimator="covariance", fill="grey", seed=2)
    maps = explain(method, detector, image, targets)

    frame = detector.frame((32, 96))
    pixels = frame.to_input(image[None])
    filled = frame.pad(fills.hide_all(pixels[0, :, *frame.content], "grey")[None])
    bank = MaskBank(design, 4, 0.5, 2)
    draw = drawn(bank, 264)
    inputs = Raster(4, frame.content_size).masks(draw)
    in_image = Raster(4, (32, 96)).masks(draw)
    survival = Survival(detector, image, targets)
    scores = torch.cat(
        [survival.of_inputs(filled + mask * (pixels - filled)) for mask in inputs[:, None, None]]
    )
    for row, one in enumerate(maps):
        slow = sum(
            (score - scores[:, row].mean()) * mask / (264 * 0.25)
            for score, mask in zip(scores[:, row], in_image, strict=True)
        )
        torch.testing.assert_close(one.heatmap, slow, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_regression_is_exact_where_the_score_is_linear_in_the_mask(design):
    bank = MaskBank(design, 4)
    scores = 0.3 + 0.5 * seen_at(bank, 400, [1], [2], (4, 4)).double()
    truth = 0.5 * true_map(bank, 1, 2, (4, 4))
    errors = {}
    for name in ESTIMATORS:
        maps = MaskEstimator(bank, (4, 4), name).estimate(scores).heatmaps
        errors[name] = float((maps[0] - truth).abs().max())
    assert errors["regression"] < 0.01
    assert errors["ridge"] < 0.01
    assert errors["covariance"] > 3 * errors["regression"]


def test_ridge_holds_less_noise_and_the_interval_of_the_regression():
    truth = 0.4 * true_map(MaskBank("orthogonal", 8), 3, 4)
    errors = {name: [] for name in ESTIMATORS}
    for seed in range(10):
        bank = MaskBank("orthogonal", 8, seed=seed)
        noise = 0.2 * torch.randn(128, 1, generator=torch.Generator().manual_seed(seed))
        scores = 0.4 * seen_at(bank, 128, [3], [4]) + noise
        found = {name: MaskEstimator(bank, (8, 8), name).estimate(scores) for name in ESTIMATORS}
        torch.testing.assert_close(found["ridge"].half_widths, found["regression"].half_widths)
        for name, one in found.items():
            errors[name].append(float((one.heatmaps[0] - truth).square().mean()))
    covariance, regression, ridge = (sum(errors[name]) for name in ESTIMATORS)
    assert ridge < 0.8 * regression
    assert regression < covariance


@pytest.mark.parametrize("estimator", ["covariance", "regression"])
@pytest.mark.parametrize("design", ["iid", "antithetic", "orthogonal"])
def test_intervals_hold_what_they_promise(design, estimator):
    truth = 0.4 * true_map(MaskBank(design, 4), 3, 4) - 0.2 * true_map(MaskBank(design, 4), 6, 1)
    inside = []
    for seed in range(60):
        bank = MaskBank(design, 4, seed=seed)
        points = seen_at(bank, 64, [3, 6], [4, 1])
        noise = torch.randn(64, generator=torch.Generator().manual_seed(seed))
        scores = 0.4 * points[:, 0] - 0.2 * points[:, 1] + 0.2 * noise
        maps, widths = MaskEstimator(bank, (8, 8), estimator).estimate(scores[:, None])
        inside.append(((maps[0] - truth).abs() <= widths[0]).float().mean())
    # So few masks for 16 cells: a fit's own residuals would look too small by themselves.
    assert 0.92 <= float(torch.stack(inside).mean()) <= 0.97


def test_intervals_of_sobol_come_from_whole_scramblings():
    bank = MaskBank("sobol", 4)
    estimator = MaskEstimator(bank, (8, 8))
    scores = torch.rand(256, 1, generator=torch.Generator().manual_seed(0))
    assert estimator.estimate(scores[:200]).half_widths.isnan().all()
    assert estimator.estimate(scores).half_widths.isfinite().all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_score_that_no_mask_changes_gives_exactly_nothing(design, estimator):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    method = DRise(masks=256, grid=4, design=design, estimator=estimator)
    (one,) = explain(method, detector, scene(), targets)
    assert torch.equal(one.heatmap, torch.zeros(64, 64))
    assert one.measured["interval_width"] == 0
    assert math.isnan(one.measured["half_agreement"])


def test_evidence_is_found_inside_and_outside_the_box():
    image = scene(("red", 0, 0), ("red", 5, 5))
    method = DRise(masks=600, grid=8, fill="air", seed=1)
    for elsewhere, (top, left) in ((0.0, (40, 40)), (1.0, (0, 0))):
        detector = ToyDetector(elsewhere=elsewhere)
        targets = [one for one in detect(detector, image) if one.box == (40, 40, 48, 48)]
        (one,) = explain(method, detector, image, targets)
        row, column = divmod(int(one.heatmap.argmax()), 64)
        assert top - 4 <= row < top + 12
        assert left - 4 <= column < left + 12


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_never_change_a_map(batch, estimator):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3), ("blue", 5, 1))
    targets = found(detector, image)
    one, other = (
        explain(DRise(masks=200, grid=5, batch=b, estimator=estimator), detector, image, targets)
        for b in (16, batch)
    )
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.heatmap, b.heatmap, rtol=1e-4, atol=1e-6)


def test_all_targets_share_the_passes_and_no_more_are_spent_than_announced():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    detector.module.seen.clear()
    maps = explain(DRise(masks=100, grid=4), detector, image, found(detector, image))
    assert sum(detector.module.seen) == 100 + 1  # one for finding the targets
    assert [one.measured["forward_passes"] for one in maps] == [100, 100]
    assert DRise(masks=100).expected_passes(9) == (100, 0)


def test_sealed_and_raw_boxes_agree_with_the_white_box():
    toy, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(toy, image)
    method = DRise(masks=200, grid=6)
    white, raw, sealed = (
        explain(method, one, image, targets)[0].heatmap
        for one in (toy, RawToy(toy), SealedToy(toy))
    )
    torch.testing.assert_close(white, raw)
    assert float((white - sealed).abs().max()) < 0.05  # below 0.1 % a sealed box says nothing


def test_it_stops_once_the_halves_agree():
    toy, image = ToyDetector(cell=16), scene(("red", 1, 1), size=(32, 48), cell=16)
    targets = found(toy, image)
    (soon,) = explain(DRise(masks=4000, grid=3, tolerance=0.2), toy, image, targets)
    (late,) = explain(DRise(masks=600, grid=8, tolerance=1e-6), toy, image, targets)
    assert soon.measured["masks"] in (128, 256, 512, 1024)
    assert soon.measured["half_agreement"] >= 0.8
    assert soon.measured["forward_passes"] == soon.measured["masks"]
    assert late.measured["masks"] == 600
    (plain,) = explain(DRise(masks=600, grid=8), toy, image, targets)
    torch.testing.assert_close(late.heatmap, plain.heatmap)


def test_progress_yields_maps_whose_intervals_shrink():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    method = DRise(masks=600, grid=6)
    detector.module.seen.clear()
    steps = method.progress(detector, image, targets)
    first = next(steps)
    assert sum(detector.module.seen) == first.masks == 128
    rest = list(steps)
    assert [one.masks for one in rest] == [256, 512, 600]
    widths = [float(one.estimate.half_widths.mean()) for one in (first, *rest)]
    assert widths[-1] < 0.7 * widths[0]
    (whole,) = explain(method, detector, image, targets)
    torch.testing.assert_close(rest[-1].estimate.heatmaps[0], whole.heatmap)


def test_the_brief_form_draws_other_masks():
    brief = DRise(masks=2000, seed=4).brief()
    assert (brief.masks, brief.seed) == (500, 5)
    assert DRise(masks=100).brief().masks == 100


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"masks": 3}, "masks is 3; expected at least 4 with the design 'orthogonal'"),
        ({"design": "sobol", "masks": 200}, "expected at least 256 with the design 'sobol'"),
        ({"estimator": "mean"}, "there is no estimator 'mean'; choose from covariance"),
        ({"fill": "pink"}, "there is no fill 'pink'"),
        ({"tolerance": 1.0}, "tolerance is 1.0; expected a value between 0 and 1"),
        ({"batch": 0}, "batch is 0"),
        ({"grid": 0}, "grid is 0"),
    ],
)
def test_bad_settings_are_explained(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        DRise(**settings)


def test_an_unknown_estimator_is_named():
    with pytest.raises(InputError, match="choose from covariance, regression, ridge"):
        MaskEstimator(MaskBank(), (8, 8), "mean")


@pytest.mark.weights
def test_a_real_detection_is_found_where_it_is(shared, coco_images):
    from xai_detect.detectors.load import load_detector

    detector = load_detector(shared / "weights" / "yolo11n.pt", imgsz=224)
    image = load_image(coco_images[3])
    (target,) = detect(detector, image)
    assert target.name == "stop sign"
    (one,) = explain(DRise(masks=96, grid=6), detector, image, [target])
    row, column = divmod(int(one.heatmap.argmax()), image.shape[2])
    left, top, right, bottom = target.box
    assert left < column < right
    assert top < row < bottom
    assert float(one.heatmap.max()) > one.measured["interval_width"] > 0
