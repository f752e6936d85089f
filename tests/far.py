"""A pretended accelerator: real numbers on a device that the CPU may not be mixed with.

Tensors on it say that they are on ``meta``, a device that every build of torch knows. They hold
real numbers, and the rules of CUDA are kept: no operation takes tensors of both devices, but for
single numbers and for indices on the CPU, and no array is made of what is far away.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

FAR = torch.device("meta")

MOVES = {"_to_copy", "copy_"}
"""May take both devices."""

INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
"""May take indices on the CPU for values that are far away."""


class Far(torch.Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, near):
        return torch.Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(),
            dtype=near.dtype, device=FAR,
        )  # fmt: skip

    def __init__(self, near):
        self.near = near

    def __repr__(self):
        return f"Far({self.near!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class FarDevice(TorchDispatchMode):
    """While it is entered, the pretended device exists."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class FarNumbers(TorchFunctionMode):
    """Takes numbers to the pretended device, which torch itself would lose on the way."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu") == FAR:
            return torch.tensor(*args, **{**kwargs, "device": "cpu"}).to(FAR)
        if func is torch.Tensor.new_tensor and isinstance(args[0], Far):
            return torch.tensor(args[1], dtype=args[0].dtype).to(FAR)
        return func(*args, **kwargs)


def _mixed(name, args, kwargs):
    given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    far = [one for one in given if isinstance(one, Far)]
    near = [one for one in given if not isinstance(one, Far) and one.ndim > 0]
    if name in MOVES or not far or not near:
        return False
    if name in INDEXED and isinstance(args[0], Far):
        return any(not isinstance(one, Far) and one.ndim > 0 for one in args[2:3])
    return True


def _run(func, args, kwargs):
    name = func.overloadpacket.__name__
    if _mixed(name, args, kwargs):
        raise RuntimeError(f"{func} was given tensors on two devices")
    asked = kwargs.get("device")
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    far = any(isinstance(one, Far) for one in tensors)
    if asked is not None:
        far = torch.device(asked) == FAR
        kwargs = {**kwargs, "device": torch.device("cpu")} if far else kwargs
    if name == "copy_":
        far = isinstance(args[0], Far)
    plain = tree_map_only(Far, lambda one: one.near, (args, kwargs))
    found = func(*plain[0], **plain[1])
    if name.endswith("_") and not name.endswith("__") and isinstance(args[0], torch.Tensor):
        return args[0]
    return tree_map_only(torch.Tensor, Far, found) if far else found


@contextmanager
def far_device():
    """The pretended device, for as long as it is needed."""
    with FarDevice(), FarNumbers():
        yield FAR
