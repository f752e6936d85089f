"""How a network is called: in float32 or bfloat16, as it stands or compiled.

An engine changes the speed of a network and rounds a little; it never changes what a method sees
that looks inside. As soon as anything hooks a layer or watches torch's calls, the plain float32
network answers: activations and gradients taken there, and rules that hold at a layer, are those of
the network itself.

- ``eager``: the network as it is.
- ``bf16``: detections and the scores of changed images, which masks, searches and removals ask for,
  with convolutions and products in bfloat16 by autocast. What comes out is float32, and what is
  made of it, boxes and probabilities, is computed in float32. What gradients are taken of stays
  float32: rounded activations move input gradients far more than scores.
- ``compiled``: ``torch.compile``. An input size that is new is compiled on its first call, which
  takes seconds to minutes; the number of images in a batch may then change freely.
- ``compiled_bf16``: both.
"""

import os
import shutil
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

from xai_detect.errors import InputError

ENGINES = ("eager", "bf16", "compiled", "compiled_bf16")

COMPILERS = ("g++", "clang++", "c++", "cl")
"""What ``torch.compile`` may use on a CPU, unless ``CXX`` names another."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where a layer holds who looks into it."""

MOST_GRAPHS = 256
"""Graphs kept, one per input size, one image or several, and with or without gradients."""


def checked_engine(name: str) -> str:
    """The name itself, if there is such an engine.

    Raises:
        InputError: If there is none.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}; choose from {', '.join(ENGINES)}")
    return name


def only_eager(name: str, kind: str) -> None:
    """Refuse an engine that a kind of detector cannot use.

    Raises:
        InputError: If it is not ``eager``, or there is no such engine.
    """
    if checked_engine(name) != "eager":
        raise InputError(f"{kind} cannot run with the engine {name!r}; use 'eager'")


class Engine:
    """Calls one network; nothing of the network itself is changed."""

    def __init__(
        self, name: str, network: nn.Module, call: nn.Module, device: torch.device
    ) -> None:
        """Prepare; nothing is compiled yet.

        Args:
            name: One of ``ENGINES``.
            network: Where methods hook layers.
            call: What is run: the network, or a part of its work around the same layers. Answers
                with a tensor, or a tuple of tensors.
            device: Where the network lies.

        Raises:
            InputError: If there is no such engine, or no compiler for it.
        """
        self.name = checked_engine(name)
        self._network = network
        self._half = name.endswith("bf16")
        self._run: Any = call
        self._compiled = name.startswith("compiled")
        if self._compiled:
            _require_compiler(device)
            self._run = torch.compile(call)

    def plain(self, *, exact: bool = False) -> bool:
        """Whether the network itself must be called: nothing to speed up, or someone looks inside.

        Args:
            exact: Whether the answer may not be rounded, because gradients are taken of it.
        """
        nothing = not self._compiled and (exact or not self._half)
        return nothing or _looked_into(self._network)

    def __call__(self, pixels: Tensor, *, exact: bool = False) -> Any:
        """What ``call`` answers, in float32; computed in float32 as well if it must be exact."""
        if self._compiled:  # one graph per size, which is faster than one for all
            for side in (1, 2, 3):
                torch._dynamo.mark_static(pixels, side)  # noqa: SLF001 - its documented name
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self._half and not exact):
            found = self._answer(pixels)
        return found.float() if isinstance(found, Tensor) else tuple(part.float() for part in found)

    def _answer(self, pixels: Tensor) -> Any:
        if not self._compiled:
            return self._run(pixels)
        try:
            with torch._dynamo.config.patch(recompile_limit=MOST_GRAPHS):  # noqa: SLF001
                return self._run(pixels)
        except torch._dynamo.exc.TorchDynamoException as error:  # noqa: SLF001
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise InputError(
                f"this network could not be compiled ({reason}); use the engine 'eager' or 'bf16'"
            ) from error


def _looked_into(network: nn.Module) -> bool:
    """Whether a layer is hooked, or every call of torch is watched."""
    watching = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return any(not isinstance(mode, DeviceContext) for mode in watching) or any(
        vars(part).get(name) for part in network.modules() for name in HOOKS
    )


def _require_compiler(device: torch.device) -> None:
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(map(shutil.which, [named] if named else COMPILERS)):
        raise InputError(
            f"the engine 'compiled' needs a C++ compiler, but {named or 'g++'} was not found; "
            "install one or name it in the variable CXX, or use the engine 'eager' or 'bf16'"
        )
