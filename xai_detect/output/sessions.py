"""When a run was started, and with which versions."""

import platform
from datetime import UTC, datetime
from importlib import metadata

import torch

from xai_detect.values.json import Json

_PACKAGES = (
    "xai-detect",
    "torch",
    "torchvision",
    "ultralytics",
    "captum",
    "opencv-python",
    "numpy",
)


def session(command: str) -> dict[str, Json]:
    """A start of a run: when, with which command and versions."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    versions["torch"] = torch.__version__  # with its build, which the package's name leaves out
    return {"started": now(), "command": command, "versions": versions}


def now() -> str:
    """The moment in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
