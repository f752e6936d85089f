"""A network lent out: one borrower at a time, in evaluation mode, and given back as it came.

Adapters and methods borrow a network that belongs to somebody else. While it is lent, no other
thread runs it, every part of it is in evaluation mode, activations do not write into their inputs,
and its parameters stay out of every graph. Afterwards modes and flags are what they were.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import cv2
import torch
from torch import Tensor, nn

from xai_detect.errors import InputError

FULL = (
    "out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "bad_alloc",
    "Insufficient memory",
)  # fmt: skip
"""What torch, its libraries and OpenCV say where there is no memory left."""


class Around(nn.Module):
    """A module around a network that somebody else handed over; to lend it lends that network.

    Attributes:
        network: What was handed over.
    """

    network: nn.Module


class _Loan:
    """Who may use one network.

    Attributes:
        lock: Held by the thread that borrows.
        open: Whether that thread has borrowed it already.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.open = False


_LOANS: WeakKeyDictionary[nn.Module, _Loan] = WeakKeyDictionary()
_LOANS_LOCK = threading.Lock()


@contextmanager
def lent(network: nn.Module) -> Iterator[None]:
    """Borrow a network; may be nested. Other threads wait until it is given back.

    Whoever wraps the network borrows the same one, so that two adapters of it take turns.

    Raises:
        InputError: If the device runs out of memory.
    """
    owned = network
    while isinstance(owned, Around):
        owned = owned.network
    with _LOANS_LOCK:
        loan = _LOANS.setdefault(owned, _Loan())
    with loan.lock, ordinary(), _memory():
        if loan.open:
            yield
            return
        loan.open = True
        try:
            with _as_it_came(network):
                yield
        finally:
            loan.open = False


@contextmanager
def ordinary() -> Iterator[None]:
    """Leave inference mode; whether gradients are recorded stays as the caller has it.

    What is made in inference mode, such as a grid that a network keeps, can never be
    differentiated again.
    """
    recorded = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(recorded):
        yield


@contextmanager
def _as_it_came(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without in-place activations or gradients at parameters, then undone."""
    modes = [(part, part.training) for part in network.modules()]
    in_place = [part for part, _ in modes if vars(part).get("inplace") is True]
    flags = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        for part, _ in modes:
            part.training = False
        for part in in_place:
            vars(part)["inplace"] = False  # activations are read again by some methods
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for part in in_place:
            vars(part)["inplace"] = True
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@contextmanager
def _memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not isinstance(error, MemoryError) and not any(phrase in str(error) for phrase in FULL):
            raise
        raise InputError(
            "the device ran out of memory; use a smaller --imgsz, a smaller batch setting of the "
            "method, or --device cpu"
        ) from error


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters lie; the CPU if it has none."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def handed_over(pixels: Tensor, network: nn.Module) -> Tensor:
    """Pixels on a network's device and in its precision, usable for gradients.

    Raises:
        InputError: If the network is in half precision, which rounds gradients too far.
    """
    first = next(
        (parameter for parameter in network.parameters() if parameter.is_floating_point()), pixels
    )
    if torch.finfo(first.dtype).bits < 32:
        raise InputError(
            f"the network is in {str(first.dtype).removeprefix('torch.')}, expected float32: call "
            "float() on it, and choose engine='bf16' where half precision is wanted for speed"
        )
    return free(pixels).to(first.device, first.dtype)


def free(values: Tensor) -> Tensor:
    """The same values as a tensor that autograd accepts, also if made in inference mode."""
    return values.clone() if values.is_inference() else values


@contextmanager
def contiguous_gradients(network: nn.Module) -> Iterator[None]:
    """Let no strided gradient reach a batch norm of what runs inside.

    Torch 2.14 and 2.15 pass such gradients on wrongly. They arrive where attention follows.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(_contiguous) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _contiguous(_part: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient.contiguous())  # type: ignore[no-untyped-call]
