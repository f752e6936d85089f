"""Pickles looked at without running them.

A pickle can import and call anything while it is read. Its opcodes can be listed instead, and what
they would import is enough to tell data from code.
"""

import io
import pickletools
import re
import struct
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from xai_detect.errors import WeightsError

KNOWN_PACKAGES = frozenset({"torch", "torchvision", "ultralytics", "numpy", "pathlib"})
KNOWN_NAMES = frozenset(
    {"collections.OrderedDict", "_codecs.encode"}
    | {f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "getattr")}
)
"""What the library's loader may accept; it looks at each name more closely than this list."""

_SYSTEM = frozenset({"posix", "nt", "__builtin__"})
"""Further names of what comes with Python."""


def inspect_pickles(path: Path) -> None:
    """Refuse a file that is no checkpoint, or whose opcodes would import anything foreign.

    Raises:
        WeightsError: Naming what the file would have run.
    """
    if path.stat().st_size == 0:
        raise WeightsError(f"{path.name} is empty (0 bytes); copy it again")
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        pickles = _zipped_pickles(path)
    elif tarfile.is_tarfile(path):
        raise WeightsError(
            f"{path.name} is a tar archive of torch before 0.4; save it again with a newer torch"
        )
    else:
        pickles = [path.read_bytes()]
    for content in pickles:
        for name in imported_names(content):
            if name not in KNOWN_NAMES and name.partition(".")[0] not in KNOWN_PACKAGES:
                raise WeightsError(refusal(path, name))


def _zipped_pickles(path: Path) -> list[bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(Path(name).name == "constants.pkl" for name in names):
                raise WeightsError(
                    f"{path.name} is a TorchScript program; expected the .pt weights it was made of"
                )
            return [archive.read(name) for name in names if name.endswith(".pkl")]
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise WeightsError(f"{path.name} is damaged or cut short; copy it again") from error


def imported_names(content: bytes) -> list[str]:
    """The ``module.name`` of everything one or more pickles in a row would import, unexecuted."""
    stream, names = io.BytesIO(content), list[str]()
    try:
        while stream.tell() < len(content):
            names += _imports(stream)
    except (ValueError, UnicodeDecodeError, EOFError, struct.error, LookupError):
        pass  # raw tensor bytes, or damage, which the loader reports
    return names


def _imports(stream: io.BytesIO) -> Iterator[str]:
    """Follow strings and the memo closely enough to resolve what an opcode would import."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument).replace(" ", ".")
            case "STACK_GLOBAL":
                yield ".".join(strings[-2:])
            case "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else ""
            case "PUT" | "BINPUT" | "LONG_BINPUT" if argument is not None:
                memo[int(argument)] = strings[-1] if strings else ""
            case "GET" | "BINGET" | "LONG_BINGET" if argument is not None:
                strings.append(memo.get(int(argument), ""))
            case _ if isinstance(argument, str):
                strings.append(argument)


def refusal(path: Path, wanted: str) -> str:
    """The sentence for a file that wants to run ``wanted``."""
    if wanted.startswith("models."):
        return (
            f"{path.name} comes from the older YOLOv5 repository ({wanted}), which this program "
            "does not run; use a 'u' model such as yolov5nu.pt"
        )
    top = wanted.partition(".")[0]
    if top == "__main__" or top not in sys.stdlib_module_names | KNOWN_PACKAGES | _SYSTEM:
        return own_class(path, wanted)
    # Pickles spell these as Python 2 or the operating system does.
    wanted = re.sub(r"^__builtin__\.", "builtins.", re.sub(r"^(posix|nt)\.", "os.", wanted))
    return (
        f"{path.name} wants to run {wanted}; a checkpoint is data and must not run code, "
        "so it was refused: get the weights from a source you trust"
    )


def own_class(path: Path, wanted: str) -> str:
    """The sentence for a file with a class that neither this program nor its library has."""
    return (
        f"{path.name} is built of code that does not come with it ({wanted}) and is not run from a "
        "file; where that code is installed, write 'yolo export "
        f"model={path.name} format=onnx' and load the .onnx file"
    )
