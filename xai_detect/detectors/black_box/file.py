"""ONNX files opened with care: data only, nothing from outside their folder, no foreign code.

An ONNX file can name other files that hold its weights, and operators that a library of somebody's
must bring. The first must lie in the file's own folder, the second are refused.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from xai_detect.detectors.black_box.network import Network, first_line, refusals
from xai_detect.errors import InputError, MissingExtraError, WeightsError
from xai_detect.values.names import distinct

OPERATORS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators the runtime brings itself; a file's own functions are built from these."""

LONGEST = 1_000_000
"""Characters of metadata that are looked at."""


class About(NamedTuple):
    """What a file says of itself, in the words of ultralytics' exports.

    Attributes:
        names: Class names in label order; None if it does not name them.
        task: Such as ``detect``; empty if it does not say.
        head: The name of the network's last layer; empty if it does not say.
        stride: The input's sides are multiples of it.
        side: Longest side of the input, in pixels.
    """

    names: tuple[str, ...] | None
    task: str
    head: str
    stride: int
    side: int


def open_network(path: Path, device: torch.device | None) -> tuple[Network, About, str]:
    """Read, check and open a file.

    Args:
        path: The file.
        device: Where to run: the CPU, or a GPU if onnxruntime was built for one; None takes what
            can be had.

    Returns:
        The network, what the file says of itself, and the sha256 of the file together with the
        files its weights lie in.

    Raises:
        InputError: If onnxruntime cannot use the device.
        MissingExtraError: If onnx or onnxruntime is not installed.
        WeightsError: If the file is damaged, reaches outside its folder, needs foreign operators,
            or takes no images.
    """
    try:
        import onnxruntime
        from google.protobuf.message import DecodeError
        from onnx import load
    except ImportError as error:
        raise MissingExtraError(
            "ONNX files need onnx and onnxruntime: pip install 'xai-detect[onnx]'"
        ) from error
    if path.stat().st_size == 0:
        raise WeightsError(f"{path.name} is empty (0 bytes); copy it again")
    try:
        model = load(str(path), format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise WeightsError(f"{path.name} is damaged or no ONNX file; export it again") from error
    if not model.graph.node:
        raise WeightsError(f"{path.name} is no ONNX file, or holds no network; export it again")
    _check_operators(model, path)
    beside = _weights_beside(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(str(path), options, [_provider(device)])
    except refusals() as error:
        raise WeightsError(
            f"{path.name} cannot be opened by onnxruntime {onnxruntime.__version__}: "
            f"{first_line(error)}"
        ) from error
    return Network(session, path.name), _about(model, path), _digest([path, *beside])


def _provider(device: torch.device | None) -> Any:
    from onnxruntime import get_available_providers

    if device is None:
        able = torch.cuda.is_available() and "CUDAExecutionProvider" in get_available_providers()
        device = torch.device("cuda" if able else "cpu")
    if device.type == "cpu":
        return "CPUExecutionProvider"
    if device.type == "cuda" and "CUDAExecutionProvider" in get_available_providers():
        return ("CUDAExecutionProvider", {"device_id": device.index or 0})
    raise InputError(
        f"this onnxruntime has no {device.type} support; use --device cpu, or install "
        "onnxruntime-gpu for CUDA"
    )


def _check_operators(model: Any, path: Path) -> None:
    known = OPERATORS | {function.domain for function in model.functions}
    foreign = {
        f"{node.domain}::{node.op_type}" for node in _nodes(model) if node.domain not in known
    }
    if foreign:
        raise WeightsError(
            f"{path.name} needs operators that a foreign library must bring "
            f"({', '.join(sorted(foreign)[:3])}), which is refused; export it without them"
        )


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its nodes: branches and loop bodies."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)


def _bodies(model: Any) -> Iterator[Any]:
    for body in (model.graph, *model.functions):
        yield from _graphs(body)


def _nodes(model: Any) -> Iterator[Any]:
    for body in _bodies(model):
        yield from body.node


def _tensors(model: Any) -> Iterator[Any]:
    for body in _bodies(model):
        yield from getattr(body, "initializer", ())
        for sparse in getattr(body, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            yield from (attribute.t, *attribute.tensors)


def _weights_beside(model: Any, path: Path) -> list[Path]:
    """The files that hold weights of this one, each in its folder or below.

    Raises:
        WeightsError: If one lies elsewhere or is missing.
    """
    folder = path.parent.resolve()
    named = {
        entry.value
        for tensor in _tensors(model)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for name in sorted(named):
        file = (folder / name).resolve()
        if Path(name).is_absolute() or not file.is_relative_to(folder):
            raise WeightsError(
                f"{path.name} wants to read {name!r}, which is outside its folder; "
                "export it as one file"
            )
        if not file.is_file():
            raise WeightsError(
                f"{path.name} keeps its weights in {name!r}, which is missing; put it beside it"
            )
    return [folder / name for name in sorted(named)]


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def _about(model: Any, path: Path) -> About:
    words = {entry.key: entry.value[:LONGEST] for entry in model.metadata_props}
    sides = _literal(words.get("imgsz", ""))
    sides = sides if isinstance(sides, list | tuple) else [sides]
    stride = _literal(words.get("stride", ""))
    return About(
        names=_names(words["names"], path) if "names" in words else None,
        task=words.get("task", ""),
        head=words.get("head", ""),
        stride=stride if isinstance(stride, int) and 1 <= stride <= 1024 else 32,
        side=max((side for side in sides if isinstance(side, int) and side > 0), default=640),
    )


def _names(text: str, path: Path) -> tuple[str, ...]:
    """Class names, written as a Python or JSON list, or as a table from number to name."""
    found = _literal(text)
    if isinstance(found, list):
        found = dict(enumerate(found))
    try:
        table = {int(number): name for number, name in dict(found).items()}
    except (TypeError, ValueError):
        table = {}
    if not table or sorted(table) != list(range(len(table))):
        raise WeightsError(
            f"{path.name} names its classes in a way that cannot be read ({text[:60]!r}); "
            "expected a table such as {0: 'gun', 1: 'knife'}"
        )
    return distinct(table[number] for number in range(len(table)))


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
