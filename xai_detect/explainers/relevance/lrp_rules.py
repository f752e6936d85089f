"""Relevance through what is no layer: sums, products, activations and pools written as functions.

Layers with weights are zennit's. Everything between them is seen by ``Rules`` while the network
runs forward; what it returns there hands relevance, instead of gradients, backward:

- an activation, a constant factor or a constant added: relevance passes unchanged;
- a sum: in proportion to the terms;
- a product of two things that depend on the image: half each;
- a matrix product, a mean or an average pool: the epsilon rule of a linear layer;
- softmax and log-sum-exp: held constant, so that attention weights and the other classes of a
  softmax head take no relevance.

Sources: Bach et al., PLoS ONE 2015; Achtibat et al., AttnLRP, 2024 (products, attention).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

TINY = 1e-6
"""Added to denominators, with their own sign."""

ACTIVATIONS = frozenset({
    "relu", "relu_", "relu6", "silu", "sigmoid", "hardswish", "hardsigmoid", "hardtanh", "gelu",
    "leaky_relu", "elu", "selu", "celu", "mish", "softplus", "tanh", "logsigmoid", "prelu",
})  # fmt: skip
ADDITIONS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
DIFFERENCES = frozenset({"sub", "sub_", "__sub__", "__isub__", "rsub", "__rsub__"})
PRODUCTS = frozenset({
    "mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply",
    "div", "div_", "__truediv__", "__itruediv__", "divide", "true_divide",
})  # fmt: skip
MATRICES = frozenset({"matmul", "__matmul__", "bmm"})
AVERAGES = frozenset({"mean", "avg_pool2d", "adaptive_avg_pool2d"})
CONSTANTS = frozenset({"softmax", "log_softmax", "logsumexp", "log_sum_of_others"})


def stabilised(values: Tensor) -> Tensor:
    """Away from 0, sign kept."""
    return values + TINY * torch.where(values < 0, -1.0, 1.0)


class _Pass(torch.autograd.Function):
    """An answer whose relevance goes to one input as it is."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, answer: Tensor) -> Tensor:
        ctx.shape = source.shape
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor, None]:
        return relevance.sum_to_size(ctx.shape), None


class _Share(torch.autograd.Function):
    """A sum: each term takes relevance in proportion to its value."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(first, second)
        return first + second

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor, Tensor]:
        first, second = ctx.saved_tensors
        share = relevance / stabilised(first + second)
        return (share * first).sum_to_size(first.shape), (share * second).sum_to_size(second.shape)


class _Halves(torch.autograd.Function):
    """A product: half of the relevance to each factor."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, answer: Tensor) -> Tensor:
        ctx.shapes = first.shape, second.shape
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor, Tensor, None]:
        first, second = (relevance.sum_to_size(shape) / 2 for shape in ctx.shapes)
        return first, second, None


class _Linear(torch.autograd.Function):
    """A function that is linear in each of its inputs: the epsilon rule, shared between them."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(*inputs)
        return function(*inputs)

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[1:]
        with torch.enable_grad():
            inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
            answer = ctx.function(*inputs)
        wanted = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
        shares = torch.autograd.grad(answer, wanted, relevance / stabilised(answer.detach()))
        given = iter(shares)
        found = (
            tensor.detach() * next(given) / len(wanted) if need else None
            for tensor, need in zip(inputs, needed, strict=True)
        )
        return None, *found


class Rules(TorchFunctionMode):
    """While it is entered, functions between layers hand relevance backward."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        moving = [value for value in args[:2] if isinstance(value, Tensor) and value.requires_grad]
        if not moving or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if name in CONSTANTS:
            return func(*(_still(value) for value in args), **kwargs)
        if name in ACTIVATIONS:
            return _Pass.apply(args[0], _quiet(func, args, kwargs))
        if name in ADDITIONS or name in DIFFERENCES:
            if len(moving) == 2 and kwargs.get("alpha", 1) == 1:
                return _sum(name, *moving)
            return _Pass.apply(moving[0], _quiet(func, args, kwargs))
        if name in PRODUCTS:
            answer = _quiet(func, args, kwargs)
            if len(moving) == 1:
                return _Pass.apply(moving[0], answer)
            return _Halves.apply(*moving, answer)
        if name in MATRICES:
            return _Linear.apply(torch.matmul, args[0], args[1])
        if name in AVERAGES:
            return _Linear.apply(lambda source: func(source, *args[1:], **kwargs), args[0])
        return func(*args, **kwargs)


def _sum(name: str, first: Tensor, second: Tensor) -> Tensor:
    if name in ADDITIONS:
        return _Share.apply(first, second)
    if name in ("rsub", "__rsub__"):
        return _Share.apply(second, _negative(first))
    return _Share.apply(first, _negative(second))


def _negative(values: Tensor) -> Tensor:
    return _Pass.apply(values, -values.detach())


def _still(value: object) -> object:
    return value.detach() if isinstance(value, Tensor) else value


def _quiet(
    func: Callable[..., Tensor], args: tuple[object, ...], kwargs: dict[str, object]
) -> Tensor:
    """The answer alone; functions that write into their input get a copy."""
    with torch.no_grad():
        copies = (value.detach().clone() if isinstance(value, Tensor) else value for value in args)
        answer: Tensor = func(*copies, **kwargs)
    return answer
