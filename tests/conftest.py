"""Real detectors and images that do not ship, where tests skip if absent; a disk that is full."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import nn

# A shared machine may pause a test for longer than any sensible deadline.
settings.register_profile("steady", deadline=None, max_examples=50)
settings.load_profile("steady")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small networks run slower on many threads than on one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "weights").is_dir():
        pytest.skip("needs the detectors and images in ../shared, which do not ship")
    return SHARED


@pytest.fixture(scope="session")
def coco_images(shared) -> list[Path]:
    return sorted((shared / "data" / "coco" / "images" / "val2017").iterdir())


@pytest.fixture
def full_disk(monkeypatch):
    """While its context is open, what is written does not reach the disk."""

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    @contextmanager
    def filled():
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            yield

    return filled


@pytest.fixture
def hooked(monkeypatch):
    """Whether each part was in training when it was hooked: it is not once it has been borrowed."""
    seen, hook = [], nn.Module.register_forward_hook

    def register(part, *given, **options):
        seen.append(part.training)
        return hook(part, *given, **options)

    monkeypatch.setattr(nn.Module, "register_forward_hook", register)
    return seen
