"""ParchGrad against a slow second implementation: loops, and a backward pass by hand."""

import json
import math
import queue
import threading

import numpy as np
import pytest
import safetensors.numpy
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional
from toy import ToyDetector, scene

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import place
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.references import draws
from xai_detect.explainers.methods import METHODS
from xai_detect.explainers.parchgrad.channels import drawn_anew, smallest
from xai_detect.explainers.parchgrad.fit import Calibration, background_boxes, fit
from xai_detect.explainers.parchgrad.gradient import Rule, repartition
from xai_detect.explainers.parchgrad.layers import box_strengths, find_layers, strengths
from xai_detect.explainers.parchgrad.method import UNDER, ParchGrad
from xai_detect.explainers.parchgrad.moments import Moments, shapiro, welch, without
from xai_detect.explainers.parchgrad.statistics import OVER, load_statistics, save_statistics
from xai_detect.explainers.parchgrad.unfinished import Unfinished
from xai_detect.values.detections import Provenance, Target

SIZE = (32, 40)


class SmallNetwork(nn.Module):
    """Plain, grouped and depthwise convolutions, a residual sum, activations edited in place."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.second = nn.Conv2d(12, 12, 1)
        self.norm = nn.BatchNorm2d(12)
        self.head = nn.Conv2d(12, 3, 4, stride=4)
        self.act = nn.SiLU(inplace=True)  # one object for all layers, as ultralytics has it
        nn.init.uniform_(self.norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(self.norm.weight, 0.5, 2)
        self.fails = False
        with torch.no_grad():
            for part in (self.first, self.grouped, self.depthwise, self.second, self.head):
                part.weight.mul_(3)

    def forward(self, pixels):
        branch = self.act(self.grouped(self.act(self.first(pixels))))
        summed = self.norm(self.second(self.depthwise(branch)))
        summed += branch
        if self.fails:
            raise RuntimeError("told to fail")
        return self.head(self.act(summed)).flatten(2).transpose(1, 2)


class SmallDetector(ToyDetector):
    def __init__(self):
        super().__init__(cell=8)
        self.module = SmallNetwork().eval()


HOOKED = {"first": 1, "grouped": 2, "second": 1, "head": 1}


def images(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        corners = torch.rand(3, 2, 2, generator=generator).sort(dim=1).values
        boxes = corners.flatten(1) * torch.tensor([SIZE[1], SIZE[0]] * 2)
        labels = torch.tensor([number % 3, number % 3, number // 3 % 3])
        light = (
            torch.rand(1, generator=generator) ** 3
        )  # uneven: no channel's strengths look normal
        yield light * torch.rand(3, *SIZE, generator=generator), boxes, labels


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    detector = SmallDetector()
    path = tmp_path_factory.mktemp("statistics") / "small.safetensors"
    save_statistics(fit(detector, images(30)), path)
    return detector, {over: load_statistics(path, detector, over) for over in OVER}, str(path)


def test_scans_may_come_from_a_thread_that_runs_the_same_network():
    detector, ready, done = SmallDetector(), queue.Queue(), []

    def produce():
        for scan in images(3):
            with lent(detector.module):
                ready.put(scan)
        ready.put(None)

    def scans():
        threading.Thread(target=produce, daemon=True).start()
        yield from iter(ready.get, None)

    fitting = threading.Thread(target=lambda: done.append(fit(detector, scans())), daemon=True)
    fitting.start()
    fitting.join(20)
    assert done, "fit waits for scans whose maker waits for the network"
    again = fit(detector, images(3))
    assert np.array_equal(done[0]["box"].class_means, again["box"].class_means)


def ask(detector, rows=(0, 7, 12), labels=(0, 1, 2)):
    return [
        Target((3.0, 2.0, 21.5, 17.0), label, 0.5, row, detector.class_names, (0.0, 0.0, 8.0, 8.0))
        for row, label in zip(rows, labels, strict=True)
    ]


# --- the slow second implementation


def slow_forward(net, pixels):
    """Every convolution's output, and what is read of it."""
    out, read = {}, {}
    silu = lambda a: a * torch.sigmoid(a)  # noqa: E731
    out["first"] = functional.conv2d(pixels, net.first.weight, net.first.bias, 2, 1)
    read["first"] = silu(out["first"])
    out["grouped"] = functional.conv2d(
        read["first"], net.grouped.weight, net.grouped.bias, 1, 1, 1, 2
    )
    read["grouped"] = silu(out["grouped"])
    deep = functional.conv2d(read["grouped"], net.depthwise.weight, net.depthwise.bias, 1, 1, 1, 12)
    out["second"] = functional.conv2d(deep, net.second.weight, net.second.bias)
    scale = net.norm.weight / (net.norm.running_var + net.norm.eps).sqrt()
    shift = net.norm.bias - net.norm.running_mean * scale
    read["second"] = out["second"] * scale[:, None, None] + shift[:, None, None]
    out["sum"] = read["second"] + read["grouped"]
    out["head"] = read["head"] = functional.conv2d(
        silu(out["sum"]), net.head.weight, net.head.bias, 4
    )
    return out, read, scale


def slow_rule(gradient, relevant, groups, gamma, conserve):
    """Steps 1 to 4 of the definition, for one sample."""
    changed = gradient.clone()
    per_group = len(gradient) // groups
    for group in range(groups):
        channels = range(group * per_group, (group + 1) * per_group)
        high = [c for c in channels if relevant[c]]
        low = [c for c in channels if not relevant[c]]
        if not high or not low:
            continue
        sums = [sum(gradient[c].double() for c in part) for part in (high, low)]
        spread = lambda s: float(s.abs() if s.numel() == 1 else s.var(unbiased=False))  # noqa: E731
        m, n = spread(sums[0]) + 1e-13, spread(sums[1]) + 1e-13
        if gamma is None:
            beta = math.sqrt((m + n) / m) if conserve else 1.0
            up, down = beta, 0.0
        else:
            hat = gamma * math.sqrt(n / m)
            beta = math.sqrt((m + n) / (m * hat**2 + n)) if conserve else 1.0
            up, down = hat * beta, beta
        for c in high:
            changed[c] = gradient[c] * up
        for c in low:
            changed[c] = gradient[c] * down
    return changed


def slow_gradient(net, pixels, target, choice, gamma=None, conserve=True):
    """The gradient at the input, one layer after the other."""
    out, _, scale = slow_forward(net, pixels)
    slope = lambda a: torch.sigmoid(a) * (1 + a * (1 - torch.sigmoid(a)))  # noqa: E731

    def split(name, gradient):
        return slow_rule(gradient[0], choice[name], HOOKED[name], gamma, conserve)[None]

    def through(conv, gradient, shape, stride=1, padding=0):
        return nn.grad.conv2d_input(
            shape, conv.weight, gradient, stride, padding, groups=conv.groups
        )

    gradient = torch.zeros_like(out["head"])
    gradient[0, target.label].view(-1)[target.candidate] = 1
    gradient = through(net.head, split("head", gradient), out["sum"].shape, 4)
    gradient = gradient * slope(out["sum"])
    deep = through(
        net.second, split("second", gradient * scale[:, None, None]), out["second"].shape
    )
    gradient = gradient + through(net.depthwise, deep, out["grouped"].shape, 1, 1)
    gradient = split("grouped", gradient * slope(out["grouped"]))
    gradient = through(net.grouped, gradient, out["first"].shape, 1, 1) * slope(out["first"])
    return through(net.first, split("first", gradient), pixels.shape, 2, 1)[0]


def slow_strengths(net, pixels, box):
    """Per layer, the mean of max(0, a) over the box's cells."""
    rows = {}
    for name, output in slow_forward(net, pixels)[1].items():
        step = pixels.shape[3] / output.shape[3]
        total, cells = torch.zeros(output.shape[1]), 0
        for row in range(output.shape[2]):
            for column in range(output.shape[3]):
                if (
                    box[0] < (column + 1) * step
                    and column * step < box[2]
                    and box[1] < (row + 1) * step
                    and row * step < box[3]
                ):
                    total += output[0, :, row, column].clamp(min=0)
                    cells += 1
        rows[name] = total / cells
    return rows


def slow_choice(statistics, net, pixels, target, mode, quantile):
    choice, start = {}, 0
    whole = (0.0, 0.0, float(pixels.shape[3]), float(pixels.shape[2]))
    by_class, known = statistics.p(target.label), statistics.known
    found = slow_strengths(net, pixels, whole if statistics.over == "image" else target.box)
    for layer in statistics.layers:
        p = []
        for channel in range(layer.channels):
            k = start + channel
            if mode == "cls":
                p.append(by_class[k])
            else:
                z = (found[layer.name][channel] - known.mean[k]) / known.deviation[k]
                p.append(1 - scipy.stats.norm.cdf(float(z)))
        relevant = []
        size = layer.channels // layer.groups
        for group in range(layer.groups):
            part = p[group * size : (group + 1) * size]
            limit = sorted(part)[max(1, math.floor(quantile * size)) - 1]
            relevant += [value <= limit for value in part]
        normal = statistics.normality[start : start + layer.channels]
        choice[layer.name] = [keep and s < 0.05 for keep, s in zip(relevant, normal, strict=True)]
        start += layer.channels
    return choice


@pytest.mark.parametrize("mode", ["cls", "ins"])
@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("quantile", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    ("gamma", "conserve"), [(None, True), (None, False), (2.0, True), (0.5, False)]
)
def test_gradients_are_those_of_the_slow_implementation(
    fitted, mode, over, quantile, gamma, conserve
):
    detector, both, path = fitted
    statistics = both[over]
    image = next(images(1, seed=5))[0]
    method = ParchGrad(
        "gradient", mode, path, quantile, share=1.0, gamma=gamma, conserve_variance=conserve,
        over=over,
    )  # fmt: skip
    targets = ask(detector)
    with torch.no_grad():
        for target, found in zip(targets, explain(method, detector, image, targets), strict=True):
            net = detector.module
            choice = slow_choice(statistics, net, image[None], target, mode, quantile)
            expected = slow_gradient(net, image[None], target, choice, gamma, conserve).sum(dim=0)
            torch.testing.assert_close(found.heatmap, expected, rtol=1e-3, atol=1e-5)
            assert any(any(part) for part in choice.values())


@pytest.mark.parametrize("mode", ["cls", "ins"])
def test_the_split_gradients_serve_every_method_beneath(fitted, mode):
    """Each by its own slow loop; the split is that of the unchanged image throughout."""
    detector, both, path = fitted
    statistics = both["box"]
    net, image, targets = detector.module, next(images(1, seed=5))[0], ask(detector)
    noise = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(4))
    noisy = image + 0.2 * (image.max() - image.min()) * noise
    starts = {"black": torch.zeros_like(image), "air": torch.ones_like(image)}
    with torch.no_grad():
        for row, target in enumerate(targets):
            choice = slow_choice(statistics, net, image[None], target, mode, 0.1)
            expected = {
                "smoothgrad": slow_gradient(net, noisy[None], target, choice),
                # One step: the gradient at the start counts for the whole path.
                "guided_ig": slow_gradient(net, 0 * image[None], target, choice) * image,
                "expected_gradients": 0.0,
            }
            for name, alpha in draws(("black", "air"), 1, seed=4):
                change = image - starts[name]
                point = (starts[name] + alpha * change)[None]
                expected["expected_gradients"] = slow_gradient(net, point, target, choice) * change
            for under, slow in expected.items():
                method = ParchGrad(
                    under, mode, path, share=1.0, steps=1, noise=0.2, seed=4, baseline="black",
                    references="black, air", quantile=0.1, over="box",
                )  # fmt: skip
                found = explain(method, detector, image, targets)[row]
                torch.testing.assert_close(found.heatmap, slow.sum(dim=0), rtol=1e-3, atol=1e-5)
                assert math.isnan(found.measured["completeness_error"])
                spent = found.measured["forward_passes"], found.measured["backward_passes"]
                if under != "expected_gradients":  # there, as many references as are usual
                    assert spent == method.expected_passes(len(targets))


@pytest.mark.parametrize("under", UNDER)
def test_targets_never_mix_whatever_lies_beneath(fitted, under):
    detector, _, path = fitted
    image, targets = next(images(1, seed=3))[0], ask(detector)
    method = ParchGrad(under, statistics=path, share=1.0, steps=3)
    together = explain(method, detector, image, targets)
    for target, one in zip(targets, together, strict=True):
        (alone,) = explain(method, detector, image, [target])
        torch.testing.assert_close(one.heatmap, alone.heatmap, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["cls", "ins"])
def test_integrated_gradients_keep_the_split_of_the_image(fitted, mode, monkeypatch):
    detector, both, path = fitted
    statistics = both["box"]
    image = next(images(1, seed=5))[0]
    targets = ask(detector)
    method = ParchGrad(
        "integrated_gradients", mode, path, 0.1, share=1.0, baseline="black", steps=4, over="box"
    )
    middles = []
    whole = detector.candidate

    def noting(pixels, targets, frame):
        if pixels.requires_grad:
            middles.append(float(pixels.detach().max() / image.max()))
        return whole(pixels, targets, frame)

    monkeypatch.setattr(detector, "candidate", noting)
    found = explain(method, detector, image, targets)
    assert len(middles) == 4
    for target, one in zip(targets, found, strict=True):
        expected, edge = torch.zeros(3, *SIZE), 0.0
        with torch.no_grad():
            choice = slow_choice(statistics, detector.module, image[None], target, mode, 0.1)
            for middle in middles:
                width = 2 * (middle - edge)
                gradient = slow_gradient(detector.module, image[None] * middle, target, choice)
                expected += gradient * width
                edge += width
        assert edge == pytest.approx(1)
        expected = (expected * image).sum(dim=0)
        torch.testing.assert_close(one.heatmap, expected, rtol=1e-3, atol=1e-5)
        assert math.isnan(one.measured["completeness_error"])
        assert one.measured["layers"] == 4
        assert 0 < one.measured["channels_kept"] < 1


def slow_values(detector, over, count):
    """Strengths of each image or box, one after the other, and the labels of each."""
    values, shown = [], []
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for image, boxes, labels in images(count):
            empty = background_boxes(boxes, boxes, SIZE, generator)
            rows = [
                (box, {label}) for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)
            ]
            rows += [(box, {3}) for box in empty.tolist()]
            if over == "image":
                rows = [((0.0, 0.0, SIZE[1], SIZE[0]), set(labels.tolist()))]
            for box, own in rows:
                found = slow_strengths(detector.module, image[None], box)
                values.append(torch.cat([found[name] for name in HOOKED]).double().numpy())
                shown.append(own)
    return np.stack(values), shown


@pytest.mark.parametrize("over", OVER)
def test_statistics_are_those_of_a_slow_count(over):
    detector = SmallDetector()
    statistics = fit(detector, images(30))[over]
    values, shown = slow_values(detector, over, 30)
    assert statistics.over == over
    assert statistics.total == len(values)
    assert statistics.counts.tolist() == [sum(row in one for one in shown) for row in range(4)]
    assert (statistics.counts[3] > 0) == (over == "box")
    for label in range(3):
        own = np.array([label in one for one in shown])
        test = scipy.stats.ttest_ind(
            values[own], values[~own], equal_var=False, alternative="greater", axis=0
        )
        np.testing.assert_allclose(statistics.p(label), test.pvalue, rtol=5e-3)
        np.testing.assert_allclose(
            statistics.class_deviations[label], np.std(values[own], axis=0, ddof=1), rtol=1e-3
        )
    together = values[[3 not in one for one in shown]]
    np.testing.assert_allclose(statistics.known.mean, together.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics.known.deviation, together.std(axis=0, ddof=1), rtol=1e-3)
    normal = [scipy.stats.shapiro(column).pvalue for column in together.T]
    np.testing.assert_allclose(statistics.normality, normal, rtol=2e-2, atol=1e-6)


def test_what_is_left_without_a_part_by_hand():
    whole = Moments(4.0, np.array([3.0]), np.array([20.0]))  # 0, 2, 4, 6
    left = without(whole, Moments(2.0, np.array([1.0]), np.array([2.0])))  # without 0, 2
    assert (left.n, left.mean.tolist(), left.squares.tolist()) == (2.0, [5.0], [2.0])
    assert without(whole, whole).n == 0


def test_an_image_counts_for_what_it_shows_and_one_with_nothing_as_background():
    detector = ToyDetector()
    image, boxes, labels = next(toy_scans())
    none = (image, boxes[:0], labels[:0])
    unknown = (image, boxes, torch.tensor([-1]))
    twice = (image, boxes.repeat(3, 1), torch.tensor([0, 2, 2]))
    found = fit(detector, [none, none, unknown, twice])
    assert found["image"].counts.tolist() == [1, 0, 1, 2]
    assert found["image"].total == 3
    assert found["box"].counts[:3].tolist() == [1, 0, 2]


# --- by hand, and properties


def test_welch_by_hand():
    # Means 3 and 1, variances 2 and 1, three boxes each: t = 2 / sqrt(2/3 + 1/3) = 2,
    # freedom = 1 / ((4/9) / 2 + (1/9) / 2) = 3.6.
    one, rest = (Moments(3.0, np.array([m]), np.array([s])) for m, s in ((3.0, 4.0), (1.0, 2.0)))
    assert welch(one, rest)[0] == pytest.approx(scipy.stats.t.sf(2, 3.6))
    assert welch(rest, one)[0] == pytest.approx(scipy.stats.t.cdf(2, 3.6))


@pytest.mark.parametrize(
    ("n", "means", "squares", "expected"),
    [
        (1.0, (3.0, 1.0), (0.0, 2.0), 1.0),
        (0.0, (0.0, 1.0), (0.0, 2.0), 1.0),
        (3.0, (1.0, 1.0), (0.0, 0.0), 1.0),
        (3.0, (2.0, 1.0), (0.0, 0.0), 0.0),
        (3.0, (1.0, 2.0), (0.0, 0.0), 1.0),
    ],
)
def test_welch_where_nothing_varies_or_too_little_was_seen(n, means, squares, expected):
    one = Moments(n, np.array(means[:1]), np.array(squares[:1]))
    rest = Moments(3.0, np.array(means[1:]), np.array(squares[1:]))
    assert welch(one, rest).tolist() == [expected]


def test_a_constant_channel_is_never_called_special():
    values = np.stack([np.full(9, 0.3), np.arange(9.0) ** 4], axis=1)
    assert shapiro(values)[0] == 1
    assert shapiro(values)[1] < 0.05
    assert shapiro(values[:2]).tolist() == [1, 1]


def test_strengths_of_small_and_outlying_boxes_use_one_cell():
    output = torch.arange(-3.0, 9.0).view(1, 1, 3, 4)
    boxes = torch.tensor([[8.0, 8.0, 8.0, 8.0], [90.0, 90.0, 99.0, 99.0], [0.0, 0.0, 9.0, 8.0]])
    found = box_strengths(output, boxes[None], (1 / 8, 1 / 8))
    torch.testing.assert_close(found, torch.tensor([[[2.0], [8.0], [0.0]]]))
    assert box_strengths(output, boxes[None, :0], (1 / 8, 1 / 8)).shape == (1, 0, 1)


gradients = st.tuples(st.integers(0, 999), st.sampled_from([1, 2, 3]), st.integers(1, 5))


def some_gradient(seed, groups):
    generator = torch.Generator().manual_seed(seed)
    gradient = torch.randn(2, groups * 4, 5, 3, generator=generator, dtype=torch.float64)
    relevant = torch.rand(groups * 4, generator=generator) < 0.4
    return gradient, relevant


def group_sums(gradient, relevant, groups):
    parts = gradient.view(len(gradient), groups, 4, -1)
    chosen = relevant.view(groups, 4, 1)
    return (parts * chosen).sum(dim=2), (parts * ~chosen).sum(dim=2)


@given(gradients)
def test_the_relevant_part_dominates_by_gamma_and_variance_is_kept(case):
    seed, groups, gamma = case
    gradient, relevant = some_gradient(seed, groups)
    relevant[::4], relevant[1::4] = True, False
    before = group_sums(gradient, relevant, groups)
    changed = repartition(gradient, relevant, groups, Rule(float(gamma)))
    high, low = (part.std(dim=2, unbiased=False) for part in group_sums(changed, relevant, groups))
    torch.testing.assert_close(high, gamma * low)
    kept = sum(part.var(dim=2, unbiased=False) for part in before)
    torch.testing.assert_close(high**2 + low**2, kept)
    silenced = repartition(gradient, relevant, groups, Rule())
    high, low = group_sums(silenced, relevant, groups)
    torch.testing.assert_close(high.var(dim=2, unbiased=False), kept)
    assert not low.any()


@given(gradients)
def test_a_large_gamma_comes_close_to_silencing_the_rest(case):
    gradient, relevant = some_gradient(*case[:2])
    silenced = repartition(gradient, relevant, case[1], Rule())
    almost = repartition(gradient, relevant, case[1], Rule(1e9))
    torch.testing.assert_close(almost, silenced, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("relevant", [torch.zeros(4), torch.ones(4)])
@pytest.mark.parametrize("gamma", [None, 3.0])
def test_a_layer_without_relevant_or_other_channels_is_left_alone(relevant, gamma):
    gradient = torch.randn(1, 4, 3, 3)
    assert torch.equal(repartition(gradient, relevant.bool(), 1, Rule(gamma)), gradient)


def test_each_group_is_split_on_its_own():
    gradient = torch.randn(1, 6, 3, 3)
    relevant = torch.tensor([True, False, False, True, True, True])
    changed = repartition(gradient, relevant, 2, Rule())
    assert torch.equal(changed[:, 3:], gradient[:, 3:])
    assert not changed[:, 1:3].any()


def test_a_map_of_one_position_by_hand():
    gradient = torch.tensor([3.0, 1.0, -2.0]).view(1, 3, 1, 1)
    changed = repartition(gradient, torch.tensor([True, False, False]), 1, Rule())
    assert changed.flatten().tolist() == pytest.approx([3 * math.sqrt(4 / 3), 0, 0])  # M = 3, N = 1


def test_on_the_support_positions_without_gradient_do_not_count():
    small = torch.randn(2, 4, 3, 2)
    large = functional.pad(small, (0, 5, 2, 0))
    relevant = torch.tensor([True, False, True, False])
    expected = functional.pad(repartition(small, relevant, 1, Rule(2.0)), (0, 5, 2, 0))
    found = repartition(large, relevant, 1, Rule(2.0, support=True))
    torch.testing.assert_close(found, expected)
    single = torch.zeros(1, 2, 3, 3)
    single[0, :, 1, 1] = torch.tensor([3.0, 1.0])
    found = repartition(single, relevant[:2], 1, Rule(support=True))
    assert float(found.sum()) == pytest.approx(3 * math.sqrt(4 / 3))


def test_the_smallest_p_values_keep_the_last_one_and_its_ties():
    p = torch.tensor([0.3, 0.1, 0.2, 0.2, 0.9, 0.5, 0.5, 0.5])
    assert smallest(p, 1, 0.25).tolist() == [False, True, True, True] + [False] * 4
    assert smallest(p, 2, 0.1).tolist() == [False, True, False, False, False, True, True, True]


def test_background_stays_clear_of_objects_and_inside_the_image():
    taken = torch.tensor([[0.0, 0.0, 10.0, 12.0], [30.0, 3.0, 38.0, 9.0]])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([background_boxes(taken, taken, SIZE, generator) for _ in range(20)])
    assert len(drawn) > 20
    assert bool((drawn >= 0).all() and (drawn[:, 2] <= 40).all() and (drawn[:, 3] <= 32).all())
    for box in drawn:
        for other in taken:
            assert min(box[2], other[2]) <= max(box[0], other[0]) or min(box[3], other[3]) <= max(
                box[1], other[1]
            )
    whole = torch.tensor([[0.0, 0.0, 40.0, 32.0]])
    assert background_boxes(whole, whole, SIZE, generator).shape == (0, 4)


# --- as a method


def toy_scans(count=12):
    """Squares of different brightness, so that channels vary."""
    for number in range(count):
        colour = ("red", "green", "blue")[number % 3]
        image = scene((colour, 2, 3), background=0.2 + 0.05 * (number % 4))
        yield image, torch.tensor([[24.0, 16.0, 32.0, 24.0]]), torch.tensor([number % 3])


def test_the_toy_by_hand(tmp_path):
    """The mean's channels are split, red against green and blue, whose sums have equal spread."""
    detector, image = ToyDetector(), scene(("red", 2, 3))
    save_statistics(fit(detector, toy_scans()), tmp_path / "toy")
    targets = [detector.detect(image[None], detector.frame((64, 64)))[0].target(0)]
    method = ParchGrad(
        "gradient", statistics=str(tmp_path / "toy"), quantile=0.1, share=1.0, over="box"
    )
    (found,) = explain(method, detector, image, targets)
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = 20 / 64 * math.sqrt(2)
    torch.testing.assert_close(found.heatmap, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("under", UNDER)
@pytest.mark.parametrize(
    ("mode", "control"), [("cls", ""), ("cls", "other_class"), ("ins", "random")]
)
def test_settings_are_plain_and_enough_to_run_again(fitted, under, mode, control):
    detector, _, path = fitted
    image = next(images(1, seed=3))[0]
    method = ParchGrad(under, mode, path, control=control, gamma=3.0, steps=2)
    (first,) = explain(method, detector, image, ask(detector)[:1])
    settings = json.loads(json.dumps(dict(first.settings), allow_nan=False))
    (again,) = explain(METHODS[first.method](**settings), detector, image, ask(detector)[:1])
    assert torch.equal(first.heatmap, again.heatmap)


@pytest.mark.parametrize("mode", ["cls", "ins"])
@pytest.mark.parametrize("control", ["", "random"])
def test_other_targets_of_the_call_change_nothing(fitted, mode, control):
    detector, _, path = fitted
    image = next(images(1, seed=3))[0]
    targets = ask(detector)
    method = ParchGrad(mode=mode, statistics=path, control=control)
    together = explain(method, detector, image, targets)
    for target, one in zip(targets, together, strict=True):
        (alone,) = explain(method, detector, image, [target])
        torch.testing.assert_close(one.heatmap, alone.heatmap, rtol=1e-5, atol=1e-7)


def test_controls_change_the_map(fitted):
    detector, _, path = fitted
    image = next(images(1, seed=3))[0]
    maps = [
        explain(
            ParchGrad(statistics=path, quantile=0.3, control=control, share=1.0, over="box"),
            detector,
            image,
            ask(detector)[:1],
        )[0]
        for control in ("", "random", "other_class")
    ]
    assert maps[0].measured["channels_kept"] == maps[1].measured["channels_kept"]
    assert not torch.equal(maps[0].heatmap, maps[1].heatmap)
    assert not torch.equal(maps[0].heatmap, maps[2].heatmap)


def test_random_channels_are_as_many_in_each_group():
    relevant = torch.tensor([True, True, False, False, False, False, True, False])
    drawn = drawn_anew(relevant, 2, torch.Generator().manual_seed(0))
    assert drawn.view(2, -1).sum(dim=1).tolist() == [2, 1]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("mode", ["cls", "ins"])
def test_the_network_goes_back_as_it_was(fitted, fails, mode):
    _, _, path = fitted
    detector, image = SmallDetector(), next(images(1, seed=3))[0]
    detector.module.train()
    targets = ask(detector)
    detector.module.fails = fails
    if fails:
        with pytest.raises(RuntimeError, match="told to fail"):
            explain(ParchGrad(mode=mode, statistics=path), detector, image, targets)
        with pytest.raises(RuntimeError, match="told to fail"):
            fit(detector, images(1))
    else:
        explain(ParchGrad(mode=mode, statistics=path), detector, image, targets)
        fit(detector, images(1))
    parts = list(detector.module.modules())
    assert detector.module.training
    assert detector.module.act.inplace
    assert not any(part._forward_hooks or part._backward_hooks for part in parts)
    assert all(parameter.requires_grad for parameter in detector.module.parameters())


@pytest.mark.parametrize("mode", ["cls", "ins"])
def test_layers_are_hooked_once_the_network_is_borrowed(fitted, hooked, mode):
    _, _, path = fitted
    detector, image = SmallDetector(), next(images(1))[0]
    detector.module.train()
    layers = find_layers(detector, image[None])
    strengths(detector, layers, image[None], torch.tensor([(3.0, 2.0, 21.5, 17.0)]))
    ParchGrad(mode=mode, statistics=path)(detector, place(detector, image), ask(detector))
    assert hooked
    assert not any(hooked)


def test_layers_follow_the_shared_activation_but_not_a_sum_made_in_place():
    detector, image = SmallDetector(), next(images(1))[0]
    layers = find_layers(detector, image[None])
    assert [(layer.name, layer.groups) for layer in layers] == list(HOOKED.items())
    box = (3.0, 2.0, 21.5, 17.0)
    found = strengths(detector, layers, image[None], torch.tensor([box]))[0]
    with torch.no_grad():
        expected = slow_strengths(detector.module, image[None], box)
    torch.testing.assert_close(found, torch.cat([expected[name] for name in HOOKED]))


@pytest.mark.parametrize("stop", [0, 3, 11, 20])
def test_a_fit_goes_on_from_its_state_as_if_nothing_had_been(stop, monkeypatch):
    monkeypatch.setattr("xai_detect.explainers.parchgrad.counted.MOST_VALUES", 9)
    detector, scans = SmallDetector(), list(images(20))
    begun, rest = Calibration(detector, 7), Calibration(detector, 7)
    whole = fit(detector, scans, seed=7)
    for scan in scans[:stop]:
        begun.see(*scan)
    rest.restore(safetensors.numpy.load(safetensors.numpy.save(begun.state())))
    for scan in scans[stop:]:
        rest.see(*scan)
    found = rest.result()
    for over in OVER:
        one, other = found[over], whole[over]
        assert one.layers == other.layers
        np.testing.assert_array_equal(one.counts, other.counts)
        for name in ("class_means", "class_deviations", "normality"):
            # whole images of noise differ little, so what is rounded in a batch shows
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=2e-3)


def test_images_of_all_sizes_are_counted_however_they_share_passes():
    """Also more sizes than may wait, and batches that fill up."""
    detector = SmallDetector()
    wide = [(image.repeat(1, 1, 2)[:, :, : 40 + 8 * (row % 3)], boxes, labels)
            for row, (image, boxes, labels) in enumerate(images(30))]  # fmt: skip
    alone = Calibration(detector, 0)
    for scan in wide:
        alone.see(*scan)
        alone.state()  # gives everything its pass
    together = fit(detector, wide)["box"]
    apart = alone.result()["box"]
    np.testing.assert_array_equal(together.counts, apart.counts)
    np.testing.assert_allclose(together.class_means, apart.class_means, rtol=1e-5)
    np.testing.assert_allclose(together.class_deviations, apart.class_deviations, rtol=1e-4)


def test_a_batch_takes_no_more_passes_than_it_must(monkeypatch):
    detector, passes = SmallDetector(), []
    raw = detector.raw
    monkeypatch.setattr(detector, "raw", lambda pixels: passes.append(len(pixels)) or raw(pixels))
    fit(detector, images(20))
    assert passes == [1, 8, 8, 4]  # the first finds the layers


def test_labels_of_minus_one_are_avoided_but_not_counted():
    detector = ToyDetector()
    (image, boxes, labels) = next(toy_scans())
    unknown = torch.tensor([[0.0, 0.0, 64.0, 64.0]])
    scan = (image, torch.cat([boxes, unknown]), torch.cat([labels, torch.tensor([-1])]))
    statistics = fit(detector, [scan])["box"]
    assert statistics.counts.tolist() == [1, 0, 0, 0]
    assert all((statistics.p(label) == 1).all() for label in range(3))


# --- what can be wrong


def test_without_statistics_the_command_is_named():
    image = scene(("red", 2, 3))
    detector = ToyDetector()
    with pytest.raises(InputError, match="run: xai-detect fit-parchgrad DATA --model toy"):
        explain("parchgrad", detector, image, ask(detector))


def test_files_that_do_not_fit_are_refused(fitted, tmp_path):
    detector, both, path = fitted
    other = ToyDetector()
    with pytest.raises(InputError, match="was fitted on another detector than toy"):
        load_statistics(path, other)
    with pytest.raises(InputError, match="cannot be read"):
        load_statistics(tmp_path / "none", detector)
    (tmp_path / "damaged").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="is damaged"):
        load_statistics(tmp_path / "damaged", detector)
    old = {"format": "xai_detect parchgrad statistics 1"}
    save_file({"a": np.zeros(2)}, tmp_path / "old", old)
    with pytest.raises(InputError, match="of an older version of this program; run: xai-detect"):
        load_statistics(tmp_path / "old", detector)
    save_file({"a": np.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(InputError, match="holds no parchgrad statistics"):
        load_statistics(tmp_path / "foreign", detector)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        save_statistics(both, tmp_path / "file" / "inside")


@pytest.mark.parametrize("over", OVER)
def test_saved_statistics_come_back(tmp_path, over):
    detector = SmallDetector()
    both = fit(detector, images(30), seed=4, source="thirty images")
    save_statistics(both, tmp_path / "file")
    fitted, again = both[over], load_statistics(tmp_path / "file", detector, over)
    for name in ("over", "layers", "class_names", "digest", "seed", "source"):
        assert getattr(again, name) == getattr(fitted, name)
    np.testing.assert_array_equal(again.counts, fitted.counts)
    np.testing.assert_allclose(again.known.mean, fitted.known.mean, rtol=1e-3)
    np.testing.assert_allclose(again.known.deviation, fitted.known.deviation, rtol=1e-2)
    np.testing.assert_allclose(again.normality, fitted.normality, rtol=1e-6)
    # half precision: a thousandth of a deviation, however far the mean lies from 0
    off = np.abs(again.class_means - fitted.class_means) / fitted.whole_deviation
    assert 0 < np.nanmax(off) < 1e-3
    np.testing.assert_allclose(again.class_deviations, fitted.class_deviations, rtol=2e-3)
    for label in range(3):
        assert scipy.stats.spearmanr(fitted.p(label), again.p(label)).statistic > 0.999


def test_classes_without_boxes_and_constant_channels_come_back(tmp_path):
    detector = ToyDetector()
    reds = fit(detector, [scan for scan in toy_scans() if int(scan[2]) == 0])
    save_statistics(reds, tmp_path / "reds")
    again = load_statistics(tmp_path / "reds", detector, "box")
    assert np.isnan(again.class_means[1:3]).all()
    assert np.isnan(again.class_deviations[1:3]).all()
    assert (again.p(1) == again.p(2)).all()
    assert (again.p(1) == 1).all()
    save_statistics(fit(detector, [next(toy_scans())]), tmp_path / "one")
    one = load_statistics(tmp_path / "one", detector, "box")
    assert np.isnan(one.known.deviation).all()
    assert all((one.p(label) == 1).all() for label in range(3))


def test_a_damaged_beginning_is_named(tmp_path):
    detector = SmallDetector()
    unfinished = Unfinished(tmp_path / "s", detector, ["a.png"], 0)
    assert unfinished.resume(Calibration(detector, 0)) == 0
    unfinished.path.write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"s\.unfinished is damaged .*; delete it to start anew"):
        unfinished.resume(Calibration(detector, 0))
    unfinished.keep(Calibration(detector, 0), 0)  # before the first box
    assert Unfinished(tmp_path / "s", detector, ["a.png"], 0).resume(Calibration(detector, 0)) == 0
    with pytest.raises(InputError, match="begun with other images"):
        Unfinished(tmp_path / "s", detector, ["b.png"], 0).resume(Calibration(detector, 0))
    unfinished.end()
    assert not unfinished.path.exists()


def test_changed_weights_are_noticed(fitted):
    _, _, path = fitted
    detector = SmallDetector()
    load_statistics(path, detector)
    with torch.no_grad():
        detector.module.head.bias += 1e-3
    with pytest.raises(InputError, match="another detector"):
        load_statistics(path, detector)


def test_a_class_without_boxes_has_no_map(tmp_path):
    detector, image = ToyDetector(), scene(("blue", 2, 3))
    reds = [scan for scan in toy_scans() if int(scan[2]) == 0]
    save_statistics(fit(detector, reds), tmp_path / "reds")
    targets = [detector.detect(image[None], detector.frame((64, 64)))[0].target(0)]
    with pytest.raises(ExplainError, match="0 images of 'blue'"):
        explain(ParchGrad(statistics=str(tmp_path / "reds")), detector, image, targets)
    method = ParchGrad(statistics=str(tmp_path / "reds"), control="other_class")
    with pytest.raises(ExplainError, match="no class besides 'red'"):
        explain(method, detector, image, [targets[0].as_class("red")])
    instance = ParchGrad(mode="ins", statistics=str(tmp_path / "reds"))
    assert explain(instance, detector, image, targets)[0].heatmap.any()


def test_a_class_with_nothing_to_compare_with_has_no_map(tmp_path):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    reds = [scan for scan in toy_scans() if int(scan[2]) == 0]
    save_statistics(fit(detector, reds), tmp_path / "reds")
    targets = [detector.detect(image[None], detector.frame((64, 64)))[0].target(0)]
    with pytest.raises(ExplainError, match=r"knows 0 images without 'red'.*over='box'"):
        explain(ParchGrad(statistics=str(tmp_path / "reds")), detector, image, targets)
    boxed = ParchGrad(statistics=str(tmp_path / "reds"), over="box")
    assert explain(boxed, detector, image, targets)[0].heatmap.any()


@pytest.mark.parametrize(
    "settings",
    [
        {"under": "cam"},
        {"mode": "box"},
        {"over": "scene"},
        {"control": "none"},
        {"quantile": 0.0},
        {"share": 1.5},
        {"gamma": 0.0},
        {"gamma": math.inf},
        {"alpha": 2.0},
        {"alpha": 0.1, "mode": "ins"},
        {"mode": "ins", "control": "other_class"},
        {"steps": 0},
        {"noise": 0.0, "under": "smoothgrad"},
        {"scalar": "iou_probability", "under": "gradient"},
        {"scalar": "iou_probability", "under": "input_x_gradient"},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError):
        ParchGrad(**settings)


def test_data_that_does_not_fit_is_refused():
    detector = ToyDetector()
    image, boxes, labels = next(toy_scans())
    with pytest.raises(InputError, match="1 boxes but 2 labels"):
        fit(detector, [(image, boxes, torch.tensor([0, 1]))])
    with pytest.raises(InputError, match="knows 3 classes"):
        fit(detector, [(image, boxes, labels + 3)])
    with pytest.raises(InputError, match="no image holds"):
        fit(detector, [(image, boxes[:0], labels[:0])])


# --- real networks


def test_a_torchvision_network_resizes_by_itself_and_is_followed(tmp_path):
    from test_torchvision import NAMES, faster_rcnn

    from xai_detect.detectors.vision.detector import TorchvisionDetector

    torch.manual_seed(0)
    network = faster_rcnn()[0]
    detector = TorchvisionDetector(network, NAMES, Provenance("tv", "torchvision", "", "photo", ""))
    layers = find_layers(detector, torch.rand(1, 3, 48, 70))
    assert [layer.name for layer in layers] == [f"backbone.levels.{n}" for n in range(3)]
    image = torch.zeros(3, 48, 70)
    image[:, :, 35:] = 1  # resized to 96 x 140, padded to 96 x 160; levels at strides 4, 8, 16
    left, right = torch.tensor([[0.0, 0.0, 24.0, 48.0], [46.0, 0.0, 70.0, 48.0]]).unbind()
    found = strengths(detector, layers, image[None], torch.stack([left, right]))
    with torch.no_grad():
        resized, _ = network.transform([image])
        level = network.backbone.levels[0](network.backbone.stem(resized.tensors).tanh())[0]
    assert level.shape[1:] == (24, 40)
    expected = level[:, :, 23:35].clamp(min=0).mean(dim=(1, 2))
    torch.testing.assert_close(found[1, :32], expected)
    scans = [(torch.rand(3, 48, 70), left[None], torch.tensor([n % 3])) for n in range(9)]
    save_statistics(fit(detector, scans), tmp_path / "tv")
    frame = detector.frame((48, 70))
    target = detector.detect(image[None], frame, 0.0)[0].target(0)
    method = ParchGrad(mode="ins", statistics=str(tmp_path / "tv"), share=1.0)
    (one,) = explain(method, detector, image, [target])
    assert one.measured["layers"] == 3


@pytest.mark.weights
def test_a_real_detector(shared, coco_images, tmp_path):
    from xai_detect.data.read import read_dataset
    from xai_detect.detectors.load import load_detector
    from xai_detect.values.images import load_image

    detector = load_detector(shared / "weights" / "yolo11n.pt", imgsz=320)
    coco = shared / "data" / "coco"
    dataset = read_dataset(
        coco / "annotations" / "instances_train2017.json", images=coco / "images" / "train2017"
    )
    label = {name: number for number, name in enumerate(detector.class_names)}

    def scans():
        for scan in dataset.scans[:10]:
            kept = [item for item in scan.items if item.label is not None and not item.crowd]
            boxes = torch.tensor([item.box for item in kept]).reshape(-1, 4)
            labels = [label[dataset.class_names[item.label]] for item in kept]
            yield load_image(scan.path), boxes, torch.tensor(labels, dtype=torch.int64)

    statistics = fit(detector, scans())
    names = [layer.name for layer in statistics["box"].layers]
    assert names[0] == "model.1.conv"
    assert names[-1].startswith("model.22.")
    assert not any(".attn." in name for name in names)
    save_statistics(statistics, tmp_path / "yolo")
    image = load_image(coco_images[0])
    frame = detector.frame((image.shape[1], image.shape[2]))
    targets = list(detector.detect(frame.to_input(image[None]), frame)[0])[:2]
    plain = explain("input_x_gradient", detector, image, targets)
    found = explain(
        ParchGrad(mode="ins", statistics=str(tmp_path / "yolo"), share=0.5),
        detector,
        image,
        targets,
    )
    assert len(found) == len(targets) > 0
    for one, before in zip(found, plain, strict=True):
        assert one.measured["layers"] == 30
        assert not torch.allclose(one.heatmap, before.heatmap)
        assert one.heatmap.any()
