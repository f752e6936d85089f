"""What a run keeps of an image: a small picture, maps in cells, pixels where no file has them."""

import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from samples import DETECTOR, NAMES, inspection, spot

import xai_detect as xd
from xai_detect.errors import InputError
from xai_detect.output.folder import pixels
from xai_detect.output.folder.header import Header
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.pictures import encode_picture, encode_webp, read_picture
from xai_detect.output.run import open_run, save
from xai_detect.values.files import file_sha256

HEADER = Header(DETECTOR, NAMES, "", {}, confidence=0.25)
SAMPLE = Path(__file__).parents[1] / "datasets" / "screening_sample"


def smooth(height, width):
    """A picture without noise: WebP keeps it nearly as it is."""
    down, across = np.mgrid[0:height, 0:width]
    planes = [255 * down / height, 255 * across / width, np.full((height, width), 90.0)]
    return np.stack(planes, axis=2).astype(np.uint8)


def opened(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize(
    ("size", "content", "expected"),
    [
        ((480, 1280), None, (240, 640)),
        ((40, 60), None, (40, 60)),
        ((960, 1280), (240, 320), (240, 320)),
        ((100, 200), (320, 640), (100, 200)),  # never larger than the image
        ((1000, 2000), (1280, 1280), (320, 640)),
        ((3, 5000), None, (1, 640)),
    ],
)
def test_a_picture_is_as_large_as_the_network_saw_it_at_most(size, content, expected):
    assert opened(encode_picture(smooth(*size), content)).shape == (*expected, 3)


def test_a_picture_looks_like_the_image():
    image = smooth(300, 400)
    gap = np.abs(opened(encode_picture(image)).astype(int) - image)
    assert gap.mean() < 3


def test_sixteen_bits_look_like_eight():
    image = smooth(30, 40)
    deep = image.astype(np.uint16) * 257
    assert encode_picture(deep) == encode_picture(image)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_every_kind_of_webp_is_read(tmp_path, channels, lossless):
    """Three ways to say how large it is: lossy, without loss, and with transparency."""
    image = np.dstack([smooth(30, 50), np.full((30, 50), 99, np.uint8)])[:, :, :channels]
    Image.fromarray(image).save(tmp_path / "x.webp", lossless=lossless)
    assert read_picture(tmp_path / "x.webp").shape == (30, 50, 3)


@pytest.mark.parametrize("keep", [0, 3, 20, 29, 60])
def test_a_cut_picture_is_one_sentence(tmp_path, keep):
    path = tmp_path / "x.webp"
    path.write_bytes(encode_webp(smooth(60, 80))[:keep])
    with pytest.raises(InputError, match="damaged"):
        read_picture(path)


def test_only_webp_is_a_picture(tmp_path):
    Image.fromarray(smooth(4, 4)).save(tmp_path / "x.webp", "png")
    with pytest.raises(InputError, match="not a WebP"):
        read_picture(tmp_path / "x.webp")
    (tmp_path / "x.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP9 " + bytes(40))
    with pytest.raises(InputError, match="not a WebP"):
        read_picture(tmp_path / "x.webp")
    with pytest.raises(InputError, match="No such file"):
        read_picture(tmp_path / "gone.webp")


def claiming(width, height, kind):
    """A WebP of a few bytes that says it is so large."""
    match kind:
        case b"VP8X":
            sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
            body = b"\x10\0\0\0" + sides
        case b"VP8L":
            body = b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
        case _:
            sides = width.to_bytes(2, "little") + height.to_bytes(2, "little")
            body = b"\x30\0\0\x9d\x01\x2a" + sides
    body += bytes(40)
    chunk = kind + len(body).to_bytes(4, "little") + body
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


@pytest.mark.parametrize(
    ("width", "height", "kind"),
    [
        (20000, 20000, b"VP8X"), (20000, 5, b"VP8X"), (5, 20000, b"VP8X"),
        (16000, 16000, b"VP8L"), (16000, 16001, b"VP8 "),
    ],
)  # fmt: skip
def test_a_picture_that_claims_to_be_huge_is_refused_unread(
    tmp_path, monkeypatch, width, height, kind
):
    (tmp_path / "x.webp").write_bytes(claiming(width, height, kind))
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=f"{width} x {height} pixels was not expected"):
        read_picture(tmp_path / "x.webp")


# Maps in cells


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((160, 160), (160, 160)), ((40, 60), (40, 60)), ((480, 640), (120, 160)),
        ((1000, 10), (160, 2)), ((3, 5000), (1, 160)),
    ],
)  # fmt: skip
def test_a_map_has_at_most_160_cells_a_side(size, expected):
    assert pixels.cells(size) == expected


def kept(heatmap, folder):
    """A map as it comes back."""
    size = tuple(heatmap.shape)
    path = folder / "x.npz"
    path.write_bytes(pixels.encode_maps({"class": [heatmap]}, size))
    (read,) = pixels.read_maps(path, {"class": [True]}, size)["class"]
    return read


@given(height=st.integers(1, 700), width=st.integers(1, 700), seed=st.integers(0, 99))
def test_the_sum_of_a_map_is_kept(tmp_path_factory, height, width, seed):
    heatmap = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) + 0.1
    read = kept(heatmap, tmp_path_factory.mktemp("maps"))
    assert read.shape == heatmap.shape
    assert float(read.sum()) == pytest.approx(float(heatmap.sum()), rel=1e-3)


def test_a_map_of_a_small_image_is_kept_pixel_by_pixel(tmp_path):
    heatmap = torch.randn(120, 160, generator=torch.Generator().manual_seed(0))
    gap = (kept(heatmap, tmp_path) - heatmap).abs().max()
    assert float(gap) <= float(heatmap.abs().max()) / 2048


def test_a_map_of_a_large_image_keeps_what_is_seen_of_it(tmp_path):
    """Signed spots as wide as maps are smoothed for drawing: off by little of the largest value."""
    down, across = np.mgrid[0:720, 0:960]

    def hill(row, column):
        return np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * 20**2))

    heatmap = torch.from_numpy(hill(200, 300) - 0.5 * hill(500, 700)).float()
    read = kept(heatmap, tmp_path)
    assert float((read - heatmap).abs().max()) < 0.03
    assert np.unravel_index(int(read.argmax()), (720, 960)) == pytest.approx((200, 300), abs=6)
    small = float(read[500, 700])
    assert small == pytest.approx(-0.5, abs=0.03)


def test_a_map_file_of_a_large_image_is_small(tmp_path):
    size = (1500, 2000)
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0))
    content = pixels.encode_maps({"class": [noise]}, size)
    (tmp_path / "x.npz").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert archive.getinfo("class.npy").file_size == 128 + 2 * 120 * 160


# The untouched pixels


def run_of(folder, *, digest, copies=False):
    writer = open_run(folder, HEADER, copy_images=copies)
    writer.add(inspection("a.jpg"), file_sha256=digest)
    return writer.finish()


@pytest.mark.parametrize(
    ("digest", "copies", "there"),
    [("", False, True), ("ab" * 32, False, False), ("ab" * 32, True, True)],
)
def test_pixels_are_kept_where_no_file_has_them_or_copies_are_wanted(
    tmp_path, digest, copies, there
):
    run = run_of(tmp_path / "run", digest=digest, copies=copies)
    assert len(list((tmp_path / "run").glob("images/*.png"))) == there
    image, (back,) = inspection("a.jpg").image, run.inspections
    assert back.image.shape == image.shape
    assert torch.equal(back.image, image) == there


def test_without_a_copy_an_image_comes_back_as_its_picture(tmp_path):
    image = torch.from_numpy(smooth(960, 1280).transpose(2, 0, 1) / 255).float()
    writer = open_run(tmp_path / "run", HEADER)
    one = inspection("a.jpg", rows=1, size=(960, 1280), image=image)
    writer.add(one, file_sha256="ab" * 32)
    (back,) = writer.finish().inspections
    assert back.image.shape == image.shape
    assert float((back.image - image).abs().mean()) < 0.02


def test_a_copy_that_was_changed_is_noticed(tmp_path):
    run = run_of(tmp_path / "run", digest="")
    (copy,) = (tmp_path / "run" / "images").iterdir()
    array = cv2.imread(str(copy))
    array[0, 0, 0] ^= 1
    cv2.imwrite(str(copy), array)
    with pytest.raises(InputError, match="not those that were inspected"):
        run.inspections[0]


@pytest.mark.parametrize("place", ["pictures", "images", "maps", "records"])
def test_nothing_outside_the_folder_is_opened(tmp_path, place):
    folder = tmp_path / "run"
    run_of(folder, digest="" if place == "images" else "ab" * 32)
    (file,) = [one for one in (folder / place).iterdir() if one.name.count(".") == 1]
    file.rename(tmp_path / file.name)
    file.symlink_to(tmp_path / file.name)
    with pytest.raises(InputError, match="leads out of the run folder"):
        load_run(folder).inspections[0]


def test_a_folder_of_pictures_that_leads_out_is_not_opened(tmp_path):
    folder = tmp_path / "run"
    run_of(folder, digest="ab" * 32)
    shutil.move(folder / "pictures", tmp_path / "elsewhere")
    (folder / "pictures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of the run folder"):
        load_run(folder).inspections[0]


def test_the_network_s_size_decides_how_large_the_picture_is(tmp_path):
    one = inspection(rows=1, size=(960, 1280), heatmaps=[spot((960, 1280), 9, 9, side=90)])
    seen = tuple(replace(made, content_size=(240, 320)) for made in one.explanations)
    save([replace(one, explanations=seen)], tmp_path)
    (picture,) = [file for file in (tmp_path / "pictures").iterdir() if file.name.count(".") == 1]
    assert read_picture(picture).shape == (240, 320, 3)


def test_a_run_of_real_scans_is_small(tmp_path):
    """The whole folder with the page, which holds the pictures a second time."""
    scans = sorted(SAMPLE.glob("**/*.jpg"))[:3]
    detector = xd.load_detector("screening")
    found = [xd.inspect(detector, scan, budget="standard") for scan in scans]
    assert sum(len(one.detections) for one in found) >= 3
    assert all(made is not None for one in found for made in one.explanations)
    header = Header(found[0].provenance, detector.class_names, "", {}, budget="standard")
    writer = open_run(tmp_path, header)
    for one, scan in zip(found, scans, strict=True):
        writer.add(one, file_sha256=file_sha256(scan))
    writer.finish()
    kept = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert kept < 3 * 300_000
