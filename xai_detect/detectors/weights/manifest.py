"""Networks kept as data: safetensors for the numbers, a manifest for what they mean.

``weights/README.md`` describes the manifest's fields. The architecture is a table of layer names,
and only names of known layers are accepted, because the library would look up anything.
"""

import hmac
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from xai_detect.detectors.weights.checkpoint import Checkpoint, digest, prepare
from xai_detect.detectors.weights.quiet import quiet
from xai_detect.detectors.weights.seeded import Seeded
from xai_detect.errors import WeightsError
from xai_detect.values.fills import DOMAINS

FILE = "manifest.toml"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a manifest.

    Attributes:
        name: Its name there.
        file: The safetensors file.
        sha256: Expected digest of the file; empty if nobody wrote it down.
        architecture: Layout of the network in the library's words.
        classes: Names in label order.
        input_size: Longest side of the input in pixels.
        letterbox: Value of the padding, 0 to 255.
        domain: ``photo`` or ``xray``.
    """

    name: str
    file: Path
    sha256: str
    architecture: Mapping[str, Any]
    classes: tuple[str, ...]
    input_size: int
    letterbox: int
    domain: str


def shipped() -> Path:
    """The manifest that came with this package; it need not exist."""
    installed = Path(__file__).parents[2] / "_weights" / FILE
    return installed if installed.is_file() else Path(__file__).parents[3] / "weights" / FILE


def shipped_name(sha256: str) -> str | None:
    """What the shipped manifest calls the weights with this digest; None if it lists none."""
    for name, table in _tables(shipped()).items():
        if sha256 and hmac.compare_digest(str(table.get("sha256")), sha256):
            return name
    return None


def names(manifest: Path) -> tuple[str, ...]:
    """The models a manifest lists; none if it does not exist."""
    return tuple(_tables(manifest))


def entry(manifest: Path, name: str) -> Entry:
    """One model of a manifest.

    Raises:
        WeightsError: If a field is missing or wrong, or the file lies outside its folder.
    """
    table = _tables(manifest)[name]
    folder = manifest.parent.resolve()
    file = (folder / str(table.get("file", ""))).resolve()
    if not file.is_relative_to(folder) or file == folder:
        raise WeightsError(
            f"{manifest}: the file of {name!r} must lie in {folder}, but is {table.get('file')!r}"
        )
    if not table.get("sha256"):
        raise WeightsError(f"{manifest}: {name!r} lacks the sha256 of its file")
    return _entry(str(manifest), name, file, table)


def entry_of(path: Path) -> Entry:
    """What a safetensors file is: from a manifest beside or above it, the shipped one, or itself.

    Raises:
        WeightsError: If nothing describes it.
    """
    path = path.resolve()
    for manifest in (path.parent / FILE, path.parent.parent / FILE):
        for name in names(manifest):
            found = entry(manifest, name)
            if found.file == path:
                return found
    known = shipped_name(digest(path))
    if known is not None:
        return _entry(str(shipped()), known, path, _tables(shipped())[known])
    table = _metadata(path)
    if "architecture" not in table:
        raise WeightsError(
            f"{path.name} does not say what network it belongs to; put it beside the {FILE} that "
            "lists it"
        )
    return _entry(path.name, path.stem, path, table)


def load_entry(found: Entry) -> Checkpoint:
    """Build the network and fill in its numbers.

    Raises:
        WeightsError: If the file is missing, is not the one that was listed, or does not fit.
    """
    if not found.file.is_file():
        raise WeightsError(f"{found.file} does not exist, but the manifest lists {found.name!r}")
    own = digest(found.file)
    if found.sha256 and not hmac.compare_digest(own, found.sha256.lower()):
        raise WeightsError(
            f"{found.file.name} has sha256 {own[:12]}..., but the manifest expects "
            f"{found.sha256[:12]}...: the file was changed or cut short; get it again"
        )
    network = _build(found)
    try:
        with safe_open(found.file, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        network.load_state_dict(state)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{found.file.name} is damaged ({error}); get it again") from error
    except RuntimeError as error:
        raise WeightsError(
            f"{found.file.name} does not fit the architecture listed for {found.name!r}"
        ) from error
    return Checkpoint(prepare(network, found.file.name), own, found.input_size)


def _tables(manifest: Path) -> dict[str, Any]:
    if not manifest.is_file():
        return {}
    try:
        with manifest.open("rb") as file:
            models = tomllib.load(file).get("models", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{manifest} is not valid TOML: {error}") from error
    return models if isinstance(models, dict) else {}


def _metadata(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is damaged ({error}); get it again") from error
    return {key: _from_json(value) for key, value in texts.items()}


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _entry(where: str, name: str, file: Path, table: Mapping[str, Any]) -> Entry:
    try:
        if table["family"] != "ultralytics":
            raise WeightsError(f"{where}: {name!r} is of the unknown family {table['family']!r}")
        architecture = table["architecture"]
        if isinstance(architecture, str):
            architecture = json.loads(architecture)
        found = Entry(
            name=name,
            file=file,
            sha256=str(table.get("sha256", "")),
            architecture=dict(architecture),
            classes=tuple(str(class_name) for class_name in table["classes"]),
            input_size=int(table["input_size"]),
            letterbox=int(table["letterbox"]),
            domain=str(table["domain"]),
        )
    except KeyError as error:
        raise WeightsError(f"{where}: {name!r} lacks the field {error}") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{where}: a field of {name!r} is wrong: {error}") from error
    if found.domain not in DOMAINS or not 0 <= found.letterbox <= 255 or found.input_size < 1:
        raise WeightsError(
            f"{where}: {name!r} needs a domain of {' or '.join(DOMAINS)}, "
            "a letterbox from 0 to 255 and a positive input_size"
        )
    return found


def _build(found: Entry) -> nn.Module:
    with quiet():
        from ultralytics.nn import modules
        from ultralytics.nn.tasks import DetectionModel
    layout = json.loads(json.dumps(dict(found.architecture)))
    _check_layout(layout, found.name, modules)
    try:
        with quiet(), torch.no_grad(), Seeded(0):
            network: nn.Module = DetectionModel(layout, ch=3, nc=len(found.classes), verbose=False)
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        raise WeightsError(
            f"the architecture listed for {found.name!r} is wrong: {error}"
        ) from error
    network.__dict__["names"] = dict(enumerate(found.classes))
    return network


def _check_layout(layout: dict[str, Any], name: str, modules: Any) -> None:
    """Accept layer classes only: the library would call whatever a name leads to."""
    rows = [*layout.get("backbone", []), *layout.get("head", [])]
    if not rows or not all(isinstance(row, list) and len(row) == 4 for row in rows):
        raise WeightsError(f"the architecture listed for {name!r} has no layers of four fields")
    for row in rows:
        layer = str(row[2])
        place, _, last = layer.rpartition(".")
        known = getattr({"": modules, "nn": nn}.get(place), last, None)
        if not (isinstance(known, type) and issubclass(known, nn.Module)):
            raise WeightsError(f"the architecture listed for {name!r} names {layer!r}, no layer")
    activation = layout.get("activation")
    if activation is not None and not re.fullmatch(r"(torch\.)?nn\.[A-Z]\w*\(\)", activation):
        raise WeightsError(
            f"the architecture listed for {name!r} wants to run {activation!r} as activation"
        )
