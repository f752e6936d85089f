"""Turns a trained network into what ships: half-precision safetensors and a manifest entry."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
MANIFEST = WEIGHTS / "manifest.toml"


def pack(network: nn.Module, path: Path, entry: Mapping[str, Any]) -> str:
    """Write weights as half-precision safetensors, the entry as its metadata; gives the sha256."""
    tensors = {
        name: value.half().contiguous() if value.dtype.is_floating_point else value.contiguous()
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {key: json.dumps(value) for key, value in entry.items() if key != "figures"}
    save_file(tensors, str(path), metadata)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def register(name: str, entry: Mapping[str, Any]) -> None:
    """Add or replace ``[models.<name>]`` in the manifest, keeping the other entries."""
    models: dict[str, Any] = {}
    if MANIFEST.exists():
        models = tomllib.loads(MANIFEST.read_text())["models"]
    models[name] = dict(entry)
    lines = ["# Written by benchmarks/train_screening.py, train_planted.py, train_cued.py and",
             "# train_savanna.py; weights/README.md explains every field.", ""]  # fmt: skip
    for key in sorted(models, key=lambda k: ("/" in k, k)):
        lines += _section(key, models[key])
    MANIFEST.write_text("\n".join(lines))


def _section(name: str, entry: Mapping[str, Any]) -> list[str]:
    lines = [f'[models."{name}"]']
    tables = []
    for key, value in entry.items():
        if isinstance(value, Mapping):
            tables.append((key, value))
        else:
            lines.append(f"{key} = {_value(value)}")
    for key, table in tables:
        inner = ", ".join(f"{k} = {_value(v)}" for k, v in table.items())
        lines.append(f"{key} = {{ {inner} }}")
    return [*lines, ""]


def _value(value: Any) -> str:
    if isinstance(value, str) and value.startswith("{"):
        return f"'{value}'"
    if isinstance(value, float):
        return f"{value:.6g}" if value % 1 else f"{value:.1f}"
    return json.dumps(value)


def rebuilt(name: str) -> nn.Module:
    """The network of a manifest entry with its packed weights, in evaluation mode."""
    from safetensors.torch import load_file
    from training import network

    entry = tomllib.loads(MANIFEST.read_text())["models"][name]
    model = network(json.loads(entry["architecture"]))
    tensors = load_file(str(WEIGHTS / entry["file"]))
    model.load_state_dict(
        {k: v.float() if v.dtype == torch.half else v for k, v in tensors.items()}
    )
    return model.float().eval()
