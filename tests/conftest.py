"""Real detectors and images that do not ship; tests that need them skip where they are absent."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

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
