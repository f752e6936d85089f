"""A network with zennit's rules on its layers and its batch norms merged, given back unchanged.

All knowledge of zennit is here and in ``lrp``. Zennit is LGPL-3.0 and an optional extra.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from xai_detect.detectors.lending import lent
from xai_detect.errors import InputError, MissingExtraError

COMPOSITES = ("epsilon_plus_flat", "epsilon_gamma_flat")
LINEAR = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
RULED = (*LINEAR, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
WITHOUT_RULE = (nn.MultiheadAttention, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d, nn.RNNBase)


@contextmanager
def ruled(
    module: nn.Module, composite: str, gamma: float, run: Callable[[], Tensor]
) -> Iterator[None]:
    """Lend a network whose backward pass hands relevance down instead of gradients.

    Args:
        module: The network; it is borrowed before anything is hooked or merged.
        composite: A name in ``COMPOSITES``.
        gamma: Of the gamma rule.
        run: One forward pass, to learn which layer follows which.

    Raises:
        InputError: If the network holds a layer without a rule, or uses one layer twice.
        MissingExtraError: If zennit is not installed.
    """
    zennit = _zennit()
    refuse(module)
    names = {part: name for name, part in module.named_modules()}
    with lent(module), ExitStack() as stack:
        pairs, repeated = _order_of(module, run)
        for part in repeated:
            stack.callback(part.register_forward_hook(_guard(names[part])).remove)
        for layer, norm in pairs:
            merged = zennit.canonizers.SequentialMergeBatchNorm()
            merged.register([layer], norm)
            stack.callback(merged.remove)
        stack.enter_context(_composite(zennit, composite, gamma).context(module))
        yield


def refuse(module: nn.Module) -> None:
    """Say which layer has no rule.

    Raises:
        InputError: Naming it.
    """
    for name, part in module.named_modules():
        if isinstance(part, WITHOUT_RULE):
            raise InputError(
                f"lrp has no rule for {type(part).__name__} ({name}); it explains convolutional "
                "networks: use integrated_gradients, or attention for RT-DETR"
            )


def _zennit() -> ModuleType:
    try:
        import zennit.canonizers
        import zennit.composites
        import zennit.rules
    except ImportError as error:
        raise MissingExtraError(
            "lrp needs zennit; install it with: pip install 'xai-detect[lrp]'"
        ) from error
    return zennit


def _composite(zennit: ModuleType, name: str, gamma: float) -> Any:
    """Flat rule at the first layer, epsilon at dense ones, z+ or gamma at the convolutions between.

    At z+ biases take no relevance: shares are those of the inputs alone. Elsewhere they take their
    own, because without them the denominators, which may have either sign, come close to 0.
    """
    rules, base = zennit.rules, zennit.composites.layer_map_base()
    plus, mixed = rules.ZPlus(zero_params=["bias"]), rules.Gamma(gamma)
    middle = plus if name == COMPOSITES[0] else mixed
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    return zennit.composites.SpecialFirstLayerMapComposite(
        [*base, (convolutions, middle), (nn.Linear, rules.Epsilon())],
        [(LINEAR, rules.Flat())],
    )


def _guard(name: str) -> Callable[..., None]:
    """A forward hook that refuses relevance at what the layer answers."""

    def refused(relevance: Tensor) -> None:
        if bool((relevance != 0).any()):
            raise InputError(
                f"lrp cannot follow a network that uses one layer repeatedly ({name}), as heads do "
                "that all levels share; use integrated_gradients"
            )

    def watch(_part: nn.Module, _inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(refused)  # type: ignore[no-untyped-call]

    return watch


def _order_of(
    module: nn.Module, run: Callable[[], Tensor]
) -> tuple[list[tuple[nn.Module, nn.Module]], list[nn.Module]]:
    """Each batch norm behind the layer whose output it takes; and layers that run repeatedly.

    Zennit keeps what it saw at a layer's last call only.
    """
    made: list[tuple[nn.Module, object]] = []  # outputs are held, so that none is mistaken
    used: dict[nn.Module, int] = {}
    pairs: list[tuple[nn.Module, nn.Module]] = []

    def watch(part: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        used[part] = used.get(part, 0) + 1
        if isinstance(part, LINEAR):
            made.append((part, output))
        elif _is_norm(part):
            pairs.extend((layer, part) for layer, answer in made if answer is inputs[0])

    watched = [part for part in module.modules() if isinstance(part, RULED) or _is_norm(part)]
    hooks = [part.register_forward_hook(watch) for part in watched]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    repeated = [part for part, count in used.items() if count > 1]
    return [pair for pair in pairs if not {*pair} & {*repeated}], repeated


def _is_norm(part: nn.Module) -> bool:
    """A batch norm with weights, torch's own or a frozen one."""
    plain = isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d)
    frozen = type(part).__name__ == "FrozenBatchNorm2d"
    return (plain or frozen) and all(
        isinstance(getattr(part, name, None), Tensor)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
