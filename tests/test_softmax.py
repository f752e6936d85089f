"""Softmax log-odds without a table of classes by classes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.detectors.softmax import softmax_log_odds


def by_definition(logits):
    """Each class against a sum over the others, written out as a table."""
    count = logits.shape[-1]
    others = logits[..., None, :].expand(*logits.shape[:-1], count, count)
    own = torch.eye(count, dtype=torch.bool)
    return logits - others.masked_fill(own, -torch.inf).logsumexp(dim=-1)


@given(st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=9))
def test_it_is_what_the_definition_says(values):
    logits = torch.tensor([values])
    expected = by_definition(logits.double())
    torch.testing.assert_close(softmax_log_odds(logits.double()), expected, rtol=1e-12, atol=1e-12)
    scale = max(1.0, float(logits.abs().max()))
    found = softmax_log_odds(logits).double()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize(
    "values",
    [[0.5, 2.0, -1.0, 0.0], [60.0, -60.0, 0.0], [3.0, 3.0], [1.0, 1.0, 1.0], [-90.0, 90.0]],
)
def test_its_gradient_is_that_of_the_definition(values):
    found, expected = [], []
    for function, rows in ((softmax_log_odds, found), (by_definition, expected)):
        for row in range(len(values)):
            logits = torch.tensor([values, values[::-1]], dtype=torch.float64, requires_grad=True)
            rows.append(torch.autograd.grad(function(logits)[:, row].sum(), logits)[0])
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-9, atol=1e-12)


def test_a_thousand_classes_take_no_table():
    """A table of 32 x 20,000 x 20,000 numbers would be 51 GB."""
    logits = torch.randn(32, 20_000, generator=torch.Generator().manual_seed(0))
    odds = softmax_log_odds(logits)
    torch.testing.assert_close(odds.double().sigmoid().sum(dim=1), torch.ones(32).double())
