"""Frames of a video file or a camera, read by OpenCV, with the time of each."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from xai_detect.errors import InputError

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
"""Suffixes by which a file is taken for a video."""

JITTER = 1e-4
"""Seconds by which the time of a frame may lie before the time at which one is due."""


def frames(source: Path | int, every: float | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """The frames of a video, or of a camera until it gives no more.

    Args:
        source: A file, or the number of a camera.
        every: Seconds from one frame to the next that is taken; None takes all.

    Yields:
        Seconds since the start, and the frame ``(H, W, 3)``, uint8 in RGB order.

    Raises:
        InputError: If it cannot be opened, or holds no frame that can be read.
    """
    camera = isinstance(source, int)
    what = f"camera {source}" if camera else str(source)
    if isinstance(source, int) and source < 0:
        raise InputError(f"{what} does not exist; cameras are numbered from 0")
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"{what} does not exist; expected a video file")
    video = cv2.VideoCapture(source if camera else str(source))
    try:
        if not video.isOpened():
            hint = "pass the number of one that is plugged in" if camera else "convert it to MP4"
            raise InputError(f"{what} cannot be opened by OpenCV; {hint}")
        start, due, count, taken = time.monotonic(), 0.0, 0, 0
        while video.grab():
            at = time.monotonic() - start if camera else _seconds(video, count)
            count += 1
            if at < due - JITTER:
                continue
            if every is not None:
                due = (at // every + 1) * every if at >= due + every else due + every
            there, picture = video.retrieve()
            if there:
                taken += 1
                yield at, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        if not taken:
            raise InputError(f"{what} gave no frame that can be read; record or copy it again")
    finally:
        video.release()


def frame_name(source: Path | int, seconds: float) -> str:
    """What a frame is called: its video and its time, as ``clip.mp4@00:01:23.400``."""
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    what = f"camera-{source}" if isinstance(source, int) else str(source)
    return f"{what}@{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _seconds(video: cv2.VideoCapture, count: int) -> float:
    """The time of the frame that was grabbed; by its number where the file gives none."""
    at = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
    if at > 0 or count == 0:
        return max(at, 0.0)
    rate = video.get(cv2.CAP_PROP_FPS)
    return count / rate if rate > 0 else float(count)
