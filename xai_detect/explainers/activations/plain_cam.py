"""Activation maps without gradients: CAM of classifiers, EigenCAM."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from scipy.linalg import eigh
from torch import Tensor, nn

from xai_detect.detectors.lending import lent
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.activations.layers import AUTO, OpenLayers, checked_layer, over_input
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

SAME = 1e-4
"""How far, as a share of the largest, a mean may lie from what the last layer was given."""


class _Pooled(NamedTuple):
    """The last feature map, whose mean over the image a linear layer turns into class scores."""

    features: Float[Tensor, "c h w"]
    weight: Float[Tensor, "classes c"]


@dataclass(frozen=True, slots=True)
class Cam:
    """CAM: the last feature map, channels weighted by the class's row of the linear layer.

    ``sum_c w_c A_c``; its mean over the cells is the class's score less the bias. Defined only for
    networks that end in a mean over the image and one linear layer: classifiers, no detectors.
    There ``hires_cam`` of the class's score is the same map, over the number of cells.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.
    """

    name: ClassVar[str] = "cam"
    input_level: ClassVar[bool] = False
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = (
        "Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016"
    )

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return one map per target, in the unit of the class's score.

        Raises:
            InputError: If the network does not end in a mean over the image and a linear layer.
        """
        frame = placed.frame
        features, weight = _pooled(detector, placed.pixels)
        labels = torch.tensor([target.label for target in targets], device=weight.device)
        maps = torch.einsum("kc,chw->khw", weight[labels], features)
        stretched = over_input(maps, detector, frame.input_size)
        passes = {"forward_passes": 1.0, "backward_passes": 0.0}
        return [Attribution(heatmap, passes) for heatmap in frame.map_to_image(stretched)]

    def brief(self) -> "Cam":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass for all targets."""
        del targets
        return 1.0, 0.0


def _pooled(detector: WhiteBoxDetector, pixels: Float[Tensor, "1 3 i j"]) -> _Pooled:
    """Find the structure by what it computes, whatever its layers are called."""
    classes = len(detector.class_names)
    linears: list[tuple[nn.Linear, Tensor]] = []
    maps: list[Tensor] = []
    wide = {
        part.in_features
        for part in detector.module.modules()
        if isinstance(part, nn.Linear) and part.out_features == classes
    }

    def watch(part: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if isinstance(part, nn.Linear) and isinstance(inputs[0], Tensor):
            linears.append((part, inputs[0].detach()))
        elif isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] in wide:
            maps.append(output.detach())

    with lent(detector.module), ExitStack() as hooks:
        for part in detector.module.modules():
            hooks.callback(part.register_forward_hook(watch).remove)
        detector.raw(pixels)
    if linears and linears[-1][0].out_features == classes and len(linears[-1][1]) == 1:
        last, given = linears[-1]
        for activation in sorted(maps, key=lambda activation: -activation[0, 0].numel()):
            mean = activation.mean(dim=(2, 3))
            if mean.shape == given.shape and _same(mean, given):
                return _Pooled(activation[0], last.weight.detach())
    raise InputError(
        f"cam is defined for networks that end in a mean over the image and one linear layer, and "
        f"{detector.provenance.name} does not; use hires_cam, the same map up to scale where both "
        "are"
    )


def _same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= SAME * expected.abs().max())


@dataclass(frozen=True, slots=True)
class EigenCam:
    """EigenCAM, an image-level map: the main direction in which a layer's activations differ.

    It asks neither for a box nor for a class, so every target of an image gets the same map: it
    shows what stands out, and says nothing about why something was detected. Activations, less
    their mean over the cells, are projected on their first right singular vector. Its sign is
    arbitrary; here cells with large activations are positive.

    Muhammad, Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020.

    Attributes:
        layer: ``auto`` for the levels that enter the head, or names of layers separated by commas.
    """

    name: ClassVar[str] = "eigen_cam"
    input_level: ClassVar[bool] = False
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Muhammad, Yeasin, Eigen-CAM, IJCNN 2020"
    layer: str = AUTO

    def __post_init__(self) -> None:
        checked_layer(self.layer)

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return the same map, in units of activation, for every target."""
        layers = OpenLayers(detector, placed, targets, self.layer)
        maps = {
            row: _main_direction(activation) for row, activation in enumerate(layers.activations)
        }
        heatmap = layers.to_image(maps)
        measured = {"image_level": 1.0, **layers.passes()}
        return [Attribution(heatmap.clone(), measured) for _ in targets]

    def brief(self) -> "EigenCam":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass for all targets."""
        del targets
        return 1.0, 0.0


def _main_direction(activation: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """Projection of every cell on the first principal direction, signed by energy."""
    cells = activation.flatten(1).T.double()  # (h w, c)
    centred = cells - cells.mean(dim=0)
    # the first right singular vector, from the small matrix of products: several times faster
    last = centred.shape[1] - 1
    _, vectors = eigh((centred.T @ centred).cpu().numpy(), subset_by_index=[last, last])
    along = centred @ torch.from_numpy(vectors[:, 0]).to(centred)
    energy = (cells**2).sum(dim=1)
    if float(along @ (energy - energy.mean())) < 0:
        along = -along
    return along.view(activation.shape[1:]).to(activation)
