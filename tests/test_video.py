"""Frames of videos and cameras: their times, their colours, and what cannot be opened."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from toy import ToyDetector, scene

import xai_detect as xd
from xai_detect.batch import video
from xai_detect.batch.given import Items
from xai_detect.batch.video import frame_name, frames
from xai_detect.errors import InputError

RATE = 10


def written(path, count=12, colour=(220, 30, 30)):
    """A video of ten frames a second in one colour, RGB."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (64, 64))
    assert writer.isOpened()
    for _ in range(count):
        writer.write(np.full((64, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


@pytest.fixture
def clip(tmp_path):
    return written(tmp_path / "clip.avi")


def test_frames_come_with_their_times_in_rgb(clip):
    found = list(frames(clip))
    assert [at for at, _ in found] == pytest.approx([number / RATE for number in range(12)])
    for _, picture in found:
        assert picture.shape == (64, 64, 3)
        assert np.abs(picture.mean(axis=(0, 1)) - (220, 30, 30)).max() < 8


@pytest.mark.parametrize(
    ("every", "times"),
    [
        (0.5, [0, 0.5, 1]),
        (0.3, [0, 0.3, 0.6, 0.9]),
        (0.25, [0, 0.3, 0.5, 0.8, 1]),
        (9.0, [0]),
        (0.01, [number / RATE for number in range(12)]),
    ],
)
def test_frames_are_taken_every_so_often(clip, every, times):
    assert [at for at, _ in frames(clip, every)] == pytest.approx(times)


@pytest.mark.parametrize(
    ("source", "seconds", "name"),
    [
        (Path("clip.mp4"), 83.4, "clip.mp4@00:01:23.400"),
        (Path("clip.mp4"), 3599.9996, "clip.mp4@01:00:00.000"),
        (2, 0.0, "camera-2@00:00:00.000"),
    ],
)
def test_a_frame_is_called_by_its_time(source, seconds, name):
    assert frame_name(source, seconds) == name


def test_frames_of_a_video_are_inspected_and_kept(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detector = ToyDetector()
    options = {"every": 0.5, "budget": "quick", "out": "run"}
    found = [one.source for one in xd.inspect_many(detector, "clip.avi", **options)]
    assert found == [f"{clip}@00:00:0{at}" for at in ("0.000", "0.500", "1.000")]
    detector.module.seen.clear()
    assert [one.source for one in xd.inspect_many(detector, [clip], **options)] == found
    assert detector.module.seen == []


def test_a_video_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"nonsense" * 100)
    with pytest.raises(InputError, match="cannot be opened by OpenCV; convert it to MP4"):
        next(frames(tmp_path / "bad.mp4"))
    with pytest.raises(InputError, match="does not exist; expected a video file"):
        next(frames(tmp_path / "gone.mp4"))
    with pytest.raises(InputError, match="camera -1 does not exist; cameras are numbered from 0"):
        next(frames(-1))


class Camera:
    """A camera that shows three pictures, one every 40 ms of a clock that the test holds."""

    opened = True
    pictures = 3

    def __init__(self, number):
        assert number == 0
        self.left, self.let_go = self.pictures, False
        Camera.last = self

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.opened

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, cv2.cvtColor(
            (scene(("red", 1, 1)).permute(1, 2, 0) * 255).byte().numpy(), cv2.COLOR_RGB2BGR
        )

    def release(self):
        self.let_go = True


@pytest.fixture
def camera(monkeypatch):
    times = (number * 0.04 for number in range(100))
    monkeypatch.setattr(video.cv2, "VideoCapture", Camera)
    monkeypatch.setattr(video.time, "monotonic", lambda: next(times))
    return Camera


def test_each_picture_of_a_camera_is_inspected_at_once(camera):
    detector = ToyDetector()
    stream = xd.inspect_many(detector, 0, budget="quick")
    first = next(stream)
    assert camera.last.left == 2
    assert first.source == "camera-0@00:00:00.040"
    assert [target.name for target in first.detections] == ["red"]
    assert torch.equal(first.image, scene(("red", 1, 1)))
    assert [one.source for one in stream] == ["camera-0@00:00:00.080", "camera-0@00:00:00.120"]
    assert camera.last.let_go


def test_a_camera_is_let_go_where_nobody_goes_on(camera):
    stream = xd.inspect_many(ToyDetector(), 0, budget="quick")
    next(stream)
    stream.close()
    del stream
    assert camera.last.let_go


def test_a_camera_that_is_not_there_is_said(camera, monkeypatch):
    monkeypatch.setattr(camera, "opened", False)
    with pytest.raises(InputError, match="camera 0 cannot be opened by OpenCV; pass the number"):
        next(iter(Items(0)))
    monkeypatch.setattr(camera, "opened", True)
    monkeypatch.setattr(camera, "pictures", 0)
    with pytest.raises(InputError, match="camera 0 gave no frame that can be read"):
        next(iter(Items(0)))
    assert camera.last.let_go
