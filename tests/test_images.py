"""Every kind of file that cameras, scanners and people produce."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from xai_detect.errors import InputError
from xai_detect.values import images
from xai_detect.values.images import MAX_PIXELS, load_image


def picture(height=12, width=20):
    """Smooth colours, so that JPEG changes little."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), x * 0 + 128.0]
    return np.stack(planes, axis=2).astype(np.uint8)


def as_tensor(array):
    return torch.from_numpy(array.transpose(2, 0, 1).copy()).float() / 255


def test_a_png_comes_back_exactly(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert torch.equal(image, as_tensor(picture()))
    assert torch.equal(load_image(str(tmp_path / "a.png")), image)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "webp", "jpg"])
def test_other_formats(tmp_path, suffix):
    settings = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(picture()).save(tmp_path / f"a.{suffix}", **settings)
    image = load_image(tmp_path / f"a.{suffix}")
    assert float((image - as_tensor(picture())).abs().max()) < (0.1 if suffix == "jpg" else 1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_stored_in_exif_is_applied(tmp_path, orientation):
    upright = Image.fromarray(picture())
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert torch.equal(load_image(tmp_path / "a.png"), as_tensor(picture()))
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert load_image(tmp_path / "a.jpg").shape == (3, 12, 20)


def test_cmyk_becomes_rgb(tmp_path):
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    image = load_image(tmp_path / "a.jpg")
    assert float((image - as_tensor(picture())).abs().mean()) < 0.02


def test_grey_is_repeated_over_three_channels(tmp_path):
    Image.fromarray(picture()[:, :, 0]).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert torch.equal(image, as_tensor(np.repeat(picture()[:, :, :1], 3, axis=2)))


@pytest.mark.parametrize("big_endian", [False, True])
def test_sixteen_bits_keep_their_precision(tmp_path, big_endian):
    values = np.arange(240, dtype=np.uint16).reshape(12, 20) * 273
    Image.fromarray(values.astype(">u2" if big_endian else "<u2")).save(tmp_path / "a.tif")
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = torch.from_numpy(values.astype(np.float32) / 65535).expand(3, -1, -1)
    assert torch.equal(load_image(tmp_path / "a.png"), expected)
    assert torch.equal(load_image(tmp_path / "a.tif"), expected)


def test_float_tiffs_in_range_are_read(tmp_path):
    values = np.linspace(0, 1, 240, dtype=np.float32).reshape(12, 20)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert torch.equal(load_image(tmp_path / "a.tif")[1], torch.from_numpy(values))
    Image.fromarray(values * 300).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"b\.tif.*values from 0 to 300"):
        load_image(tmp_path / "b.tif")


def test_integer_files_of_sixteen_bits_are_read_to_their_last_value(tmp_path):
    values = np.array([[0, 65535], [32768, 1]], dtype=np.int32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = load_image(tmp_path / "a.tif")[0]
    assert torch.equal(found, torch.from_numpy(values.astype(np.float32) / 65535))
    for value in (65536, -1):
        Image.fromarray(np.array([[0, value]], dtype=np.int32)).save(tmp_path / "b.tif")
        with pytest.raises(InputError, match=rf"values from .*{value}.*at most 16 bits"):
            load_image(tmp_path / "b.tif")


def test_integer_tiffs_beyond_sixteen_bits_are_refused(tmp_path):
    values = np.full((4, 4), 70000, dtype=np.int32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif"):
        load_image(tmp_path / "a.tif")


def test_transparency_is_laid_over_white(tmp_path):
    array = np.zeros((2, 3, 4), dtype=np.uint8)
    array[0, :, 3] = [0, 128, 255]
    Image.fromarray(array).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image[:, 0, 0].tolist() == [1, 1, 1]
    assert image[:, 0, 1].tolist() == pytest.approx([127 / 255] * 3)
    assert image[:, 0, 2].tolist() == [0, 0, 0]
    Image.fromarray(array).convert("LA").save(tmp_path / "grey.png")
    assert torch.equal(load_image(tmp_path / "grey.png"), image)


def test_transparent_arrays_are_laid_over_white_like_files():
    generator = np.random.default_rng(0)
    array = generator.integers(0, 256, (5, 6, 4), dtype=np.uint8)
    expected = array[:, :, :3] / 255 * (array[:, :, 3:] / 255) + (1 - array[:, :, 3:] / 255)
    wanted = torch.from_numpy(expected.transpose(2, 0, 1).copy()).float()
    for same in (array, array / 255, array.astype(np.uint16) * 257):
        torch.testing.assert_close(load_image(same), wanted)
    from_file = load_image(Image.fromarray(array))
    assert float((from_file - wanted).abs().max()) < 2 / 255


def test_palettes_with_and_without_transparency(tmp_path):
    small = Image.fromarray(picture()).quantize(8)
    small.save(tmp_path / "a.png")
    assert torch.equal(load_image(tmp_path / "a.png"), as_tensor(np.asarray(small.convert("RGB"))))
    small.save(tmp_path / "b.png", transparency=int(np.asarray(small)[0, 0]))
    assert load_image(tmp_path / "b.png")[:, 0, 0].tolist() == [1, 1, 1]


def test_bilevel_images(tmp_path):
    Image.fromarray(picture()[:, :, 0] > 100).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").unique().tolist() == [0, 1]


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_images_one_pixel_wide(tmp_path, size):
    Image.fromarray(picture(*size)).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").shape == (3, *size)


def test_a_file_of_zero_bytes(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=r"a\.jpg is empty \(0 bytes\)"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_cut_short(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=rf"a\.{suffix} is (damaged|not an image)") as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_a_file_with_a_flipped_byte_is_an_image_or_an_input_error(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            image = load_image(path)
        except InputError:
            continue
        assert image.shape[0] == 3


def test_a_text_file_named_jpg(tmp_path):
    (tmp_path / "a.jpg").write_text("hello, I am no image")
    with pytest.raises(InputError, match=r"a\.jpg is not an image this program can read"):
        load_image(tmp_path / "a.jpg")


def test_ultralytics_installs_nothing_when_a_file_is_no_image(tmp_path, monkeypatch):
    from ultralytics.utils import patches

    monkeypatch.setattr(Image, "open", patches.image_open)
    (tmp_path / "a.jpg").write_text("hello, I am no image")
    with pytest.raises(InputError, match="is not an image this program can read"):
        load_image(tmp_path / "a.jpg")


def test_formats_that_run_other_programs_are_not_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match="is not an image this program can read"):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize("side", [60_000, 10_001])
def test_a_header_that_claims_too_many_pixels(tmp_path, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        chunk = kind + data
        chunks += struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(InputError, match=rf"a\.png.*{MAX_PIXELS:,}"):
        load_image(tmp_path / "a.png")


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg does not exist"):
        load_image(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="is a folder"):
        load_image(tmp_path)


def test_arrays_and_tensors_are_taken_as_they_are():
    array = picture()
    expected = as_tensor(array)
    assert torch.equal(load_image(array), expected)
    assert torch.equal(load_image(Image.fromarray(array)), expected)
    assert torch.equal(load_image(expected), expected)
    assert torch.equal(load_image(expected.double()), expected)
    assert torch.equal(load_image(expected.permute(1, 2, 0).numpy()), expected)
    assert torch.equal(load_image(array[:, :, 0]), expected[:1].expand(3, -1, -1))
    assert load_image((array.astype(np.uint16)) * 257).allclose(expected)
    opaque = np.dstack([array, np.full(array.shape[:2], 255, dtype=np.uint8)])
    assert load_image(opaque).allclose(expected)
    assert load_image(array[:, ::-1]).shape == expected.shape


def test_the_result_is_a_copy():
    tensor = torch.rand(3, 4, 4)
    load_image(tensor).zero_()
    assert tensor.sum() > 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((3, 4, 5), dtype=np.uint8), "no image"),
        (np.zeros((4, 4, 3), dtype=np.int64), "int64"),
        (np.zeros((4, 4, 3, 1), dtype=np.uint8), "no image"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "not empty"),
        (np.full((4, 4, 3), 200.0), "divide 8-bit values by 255"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        (torch.zeros(1, 4, 4), "no image"),
        (torch.zeros(3, 0, 4), "not empty"),
        (torch.full((3, 4, 4), -0.1), r"expected \[0, 1\]"),
        (torch.full((3, 4, 4), torch.inf), "not finite"),
    ],
)
def test_what_is_no_image_is_said(source, words):
    with pytest.raises(InputError, match=words):
        load_image(source)


def test_colours_in_the_order_of_opencv_are_turned(tmp_path):
    plain, turned = picture(), np.ascontiguousarray(picture()[..., ::-1])
    assert torch.equal(load_image(turned, order="bgr"), as_tensor(plain))
    assert torch.equal(load_image(as_tensor(turned), order="bgr"), as_tensor(plain))
    opaque = np.dstack([turned, np.full(turned.shape[:2], 255, np.uint8)])
    assert torch.equal(load_image(opaque, order="bgr"), as_tensor(plain))
    Image.fromarray(plain).save(tmp_path / "a.png")
    for known in (tmp_path / "a.png", Image.fromarray(plain)):
        assert torch.equal(load_image(known, order="bgr"), as_tensor(plain))


def test_an_order_that_is_none_is_said():
    with pytest.raises(InputError, match="order is 'grb'; expected 'rgb', or 'bgr'"):
        load_image(picture(), order="grb")


def test_eight_bit_tensors_say_what_to_do():
    with pytest.raises(InputError, match="divide 8-bit values by 255"):
        load_image(torch.full((3, 4, 4), 200, dtype=torch.uint8))


@pytest.mark.weights
@pytest.mark.parametrize("folder", ["coco/images/val2017", "sixray/val/images"])
def test_decoding_equals_opencv_pixel_for_pixel(shared, folder):
    import cv2

    paths = sorted((shared / "data" / folder).iterdir())[:60]
    different = []
    for path in paths:
        expected = cv2.imread(str(path))[..., ::-1]
        found = (load_image(path) * 255).round().byte().permute(1, 2, 0).numpy()
        if not np.array_equal(found, expected):
            different.append(path.name)
    assert not different


def twelve(folder, name="a.png", high=4095):
    values = np.linspace(0, high, 240).round().astype(np.uint16).reshape(12, 20)
    Image.fromarray(values).save(folder / name)
    return folder / name, torch.from_numpy(values.astype(np.float32))


@pytest.fixture
def untold():
    """As if nothing had been said about depths, and none had been set."""
    images._told.clear()
    yield
    images._told.clear()
    images.read_at(None)


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize(("high", "bits"), [(4095, 12), (3000, 12), (256, 12), (255, 8), (100, 8)])
def test_values_of_fewer_bits_are_recognised_and_told_once(tmp_path, caplog, high, bits):
    path, values = twelve(tmp_path, high=high)
    for _ in range(2):
        assert torch.equal(load_image(path)[0], values / (2**bits - 1))
    assert len(caplog.messages) == 1
    assert f"looks like {bits} bits" in caplog.text
    assert f"--depth {bits}" in caplog.text


@pytest.mark.usefixtures("untold")
def test_the_depth_can_be_said(tmp_path, caplog):
    path, values = twelve(tmp_path)
    assert torch.equal(load_image(path, depth=16)[0], values / 65535)
    assert torch.equal(load_image(path, depth=14)[0], values / 16383)
    images.read_at(12)
    assert torch.equal(load_image(path)[0], values / 4095)
    assert caplog.messages == []
    images.read_at(None)
    with pytest.raises(InputError, match=r"a\.png holds values up to 4095; expected at most 10"):
        load_image(path, depth=10)
    with pytest.raises(InputError, match="depth is 3"):
        load_image(path, depth=3)


@pytest.mark.usefixtures("untold")
def test_a_black_image_and_full_sixteen_bits_stay_as_they_are(tmp_path, caplog):
    Image.fromarray(np.zeros((4, 5), dtype=np.uint16)).save(tmp_path / "black.png")
    assert not load_image(tmp_path / "black.png").any()
    path, values = twelve(tmp_path, high=4096)
    assert torch.equal(load_image(path)[0], values / 65535)
    assert caplog.messages == []


def test_bytes_and_streams_are_read_like_files(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path)
    content, expected = path.read_bytes(), load_image(path)
    assert torch.equal(load_image(content), expected)
    assert torch.equal(load_image(io.BytesIO(content)), expected)
    with path.open("rb") as stream:
        assert torch.equal(load_image(stream), expected)
    for broken in (b"", b"no image", content[: len(content) // 2]):
        with pytest.raises(InputError, match="the image in memory is") as caught:
            load_image(broken)
        assert "\n" not in str(caught.value)
    with path.open("r", encoding="latin-1") as text, pytest.raises(InputError, match="binary"):
        load_image(text)
