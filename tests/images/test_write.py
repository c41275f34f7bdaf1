"""Saved images are read back as they were, and are saved whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from image_makers import FORMATS, file_of, noisy, smooth
from PIL import Image

from impasto import ImageError
from impasto.images.icc import gray_profile, srgb_profile
from impasto.images.image import ImageMetadata
from impasto.images.read import describe_image, open_image
from impasto.images.write import check_output, check_output_size, encode, save

ENDINGS = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif"]
LOSSLESS = {"PNG": 8, "TIFF": 8}


def gentle(grey: bool = False) -> torch.Tensor:
    pixels = torch.from_numpy(smooth(1 * 24, 40).astype(np.float32) / 255).permute(2, 0, 1)
    return pixels[:1] if grey else pixels


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_round_trip(format, grey, alpha, bits):
    pixels = gentle(grey)
    opacity = torch.linspace(0.5, 1, 24 * 40).reshape(24, 40) if alpha else None
    metadata = ImageMetadata(alpha=opacity, bits=bits)
    again = open_image(encode(pixels, format, metadata=metadata))
    kept = min(bits, {"PNG": 16, "TIFF": 32}.get(format, 8))
    assert again.metadata.bits == kept
    colors = 3 if format == "WEBP" or (format == "AVIF" and alpha) else pixels.shape[0]
    assert again.pixels.shape == (colors, 24, 40)
    expected = pixels
    if format == "JPEG" and alpha:
        expected = pixels * opacity + (1 - opacity)
    step = 0 if kept == 32 else 0.5 / (2**kept - 1) + 1e-6
    tolerance = step if format in ("PNG", "TIFF") else 0.05
    assert (again.pixels - expected).abs().max() <= tolerance
    if alpha and format != "JPEG":
        tolerance = 0.02 if format == "AVIF" else max(step, 0)
        assert (again.metadata.alpha - opacity).abs().max() <= tolerance
    else:
        assert again.metadata.alpha is None


@pytest.mark.parametrize(("format", "bits"), [("PNG", 8), ("PNG", 16), ("TIFF", 8), ("TIFF", 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_code_comes_back_as_itself(format, bits, channels):
    codes = torch.arange(2**bits).repeat(channels, 1).reshape(channels, 2 ** (bits // 2), -1)
    data = encode((codes.double() / (2**bits - 1)).float(), format, bits=bits)
    again = (open_image(data).pixels.double() * (2**bits - 1)).round()
    assert torch.equal(again, codes.double())


def test_floats_are_written_exactly():
    pixels = torch.rand(3, 33, 17)
    again = open_image(encode(pixels, "tiff", bits=32))
    assert torch.equal(again.pixels, pixels)
    alpha = torch.rand(33, 17)
    again = open_image(encode(pixels, "tiff", metadata=ImageMetadata(alpha=alpha, bits=32)))
    assert torch.equal(again.metadata.alpha, alpha)


def test_values_are_rounded_to_the_nearest_code_and_clamped():
    values = torch.tensor([0.0, 0.49, 0.51, 127.4, 127.6, 254.6, 300.0, -20.0]) / 255
    pixels = values.reshape(1, 1, 8)
    again = (open_image(encode(pixels, "png")).pixels * 255).round().flatten().tolist()
    assert again == [0, 0, 1, 127, 128, 255, 255, 0]


def test_jpeg_lays_transparency_on_white():
    metadata = ImageMetadata(alpha=torch.zeros(16, 16))
    pixels = open_image(encode(torch.zeros(3, 16, 16), "jpg", metadata=metadata)).pixels
    assert pixels.min() > 0.99


def test_colors_under_transparency_are_kept():
    pixels, alpha = gentle(), torch.zeros(24, 40)
    for format in ("PNG", "TIFF", "WEBP", "AVIF"):
        again = open_image(encode(pixels, format, metadata=ImageMetadata(alpha=alpha)))
        assert (again.pixels - pixels).abs().max() < 0.06, format


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("grey", [False, True])
def test_the_same_picture_gives_the_same_bytes(format, grey):
    metadata = ImageMetadata(alpha=torch.rand(24, 40), dpi=(300, 300), bits=16)
    options = {"metadata": metadata, "recipe": '{"version":1}'}
    first = encode(gentle(grey), format, **options)
    srgb_profile.cache_clear()
    gray_profile.cache_clear()
    assert encode(gentle(grey), format, **options) == first


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("grey", [False, True])
def test_the_file_says_it_is_srgb(format, grey):
    with Image.open(io.BytesIO(encode(gentle(grey), format))) as image:
        grey_stored = image.mode == "L"
        assert image.info["icc_profile"] == (gray_profile() if grey_stored else srgb_profile())
        assert grey_stored == (grey and format != "WEBP")


@pytest.mark.parametrize("format", FORMATS)
def test_other_programs_read_the_same_pixels(format):
    with Image.open(io.BytesIO(encode(gentle(), format))) as image:
        assert np.abs(np.asarray(image).astype(int) - smooth().astype(int)).max() <= 8
    if format == "TIFF":
        for dtype, bits in ((np.uint16, 16), (np.float32, 32)):
            data = encode(
                gentle(), format, bits=bits, metadata=ImageMetadata(alpha=torch.ones(24, 40))
            )
            array = tifffile.imread(io.BytesIO(data))
            assert (array.shape, array.dtype) == ((24, 40, 4), dtype)


def test_a_tiff_of_many_strips():
    pixels = torch.rand(3, 700, 900)
    again = open_image(encode(pixels, "tif", bits=16)).pixels
    assert (again - pixels).abs().max() <= 0.51 / 65535


@pytest.mark.parametrize("format", FORMATS)
def test_extreme_shapes(format):
    for shape in ((3, 1, 1), (1, 1, 1), (3, 1, 700), (3, 700, 1)):
        assert open_image(encode(torch.rand(shape), format)).size == shape[:0:-1]


@pytest.mark.parametrize("format", FORMATS)
def test_noise_at_the_highest_quality_with_much_metadata(format):
    exif = Image.Exif()
    exif[270] = "x" * 60_000
    options = {
        "metadata": ImageMetadata(exif=exif.tobytes(), bits=16),
        "recipe": '{"a": "%s"}' % ("y" * 60_000),
    }
    for shape in ((3, 600, 500), (3, 2, 2)):
        pixels = torch.rand(shape).round()
        picture = open_image(encode(pixels, format, quality=100, **options))
        assert picture.size == shape[:0:-1]
        assert len(picture.metadata.recipe) == 60_009
        assert len(picture.metadata.exif) > 60_000


def test_quality_gives_larger_and_closer_files():
    pixels = torch.rand(3, 64, 64)
    for format in ("JPEG", "WEBP", "AVIF"):
        low, high = (encode(pixels, format, quality=q) for q in (30, 100))
        errors = [(open_image(data).pixels - pixels).abs().mean() for data in (low, high)]
        assert len(low) < len(high)
        assert errors[0] > errors[1]
    assert (open_image(encode(pixels, "webp", quality=100)).pixels - pixels).abs().max() < 0.002


def test_bits_asked_for_are_given_or_refused():
    pixels = gentle()
    assert describe_image(encode(pixels, "png", bits=16))["bits"] == 16
    assert (
        describe_image(encode(pixels, "png", metadata=ImageMetadata(bits=16), bits=8))["bits"] == 8
    )
    for format, bits, law in (
        ("jpg", 16, "8 for JPEG"),
        ("png", 32, "8 or 16 for PNG"),
        ("tiff", 12, "8 or 16 or 32 for TIFF"),
    ):
        with pytest.raises(ValueError, match=f"^`bits` must be {law}, got {bits}; choose"):
            encode(pixels, format, bits=bits)


@pytest.mark.parametrize(
    ("pixels", "law"),
    [
        (torch.zeros(2, 3, 3), "must be (3, H, W) or (1, H, W), got (2, 3, 3)"),
        (torch.zeros(1, 3, 4, 4), "must be (3, H, W) or (1, H, W), got (1, 3, 4, 4)"),
        (torch.zeros(3, 0, 4), "must be (3, H, W) or (1, H, W), got (3, 0, 4)"),
        (torch.full((3, 2, 2), torch.nan), "got torch.float32 with 12 values that are not"),
        (
            torch.zeros(3, 2, 2, dtype=torch.uint8),
            "must be finite floats in [0, 1], got torch.uint8",
        ),
    ],
)
def test_pixels_that_cannot_be_written_are_refused(pixels, law, tmp_path):
    with pytest.raises(ValueError, match=r"^`pixels` must be ") as caught:
        save(pixels, tmp_path / "a.png")
    assert law in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_arguments_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"^`metadata.alpha` must be \(24, 40\) like the pixels"):
        encode(gentle(), "png", metadata=ImageMetadata(alpha=torch.ones(3, 3)))
    with pytest.raises(ValueError, match=r"^`quality` must be from 1 to 100, got 0; "):
        encode(gentle(), "jpg", quality=0)
    with pytest.raises(ValueError, match=r"^`format` must end in .*, got bmp; choose one of them"):
        encode(gentle(), "bmp")
    with pytest.raises(ImageError, match=r"at most 16,383 pixels as WEBP, got 16,384 × 1; save"):
        encode(torch.zeros(1, 1, 16_384), "webp")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ending_chooses_the_format(ending, tmp_path):
    for name in (f"a{ending}", f"b{ending.upper()}"):
        path = save(gentle(), tmp_path / name)
        assert path == tmp_path / name
        expected = {"JPG": "JPEG", "TIF": "TIFF"}.get(ending[1:].upper(), ending[1:].upper())
        assert open_image(path).metadata.format == expected
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [f"a{ending}", f"b{ending.upper()}"]
    )


def test_a_file_gets_the_permissions_of_any_other(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    saved = save(gentle(), tmp_path / "a.png")
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(ImageError, match=r"^`output` must be a new file, got .*a\.png, which ex"):
        save(gentle(), path)
    assert path.read_bytes() == b"mine"
    save(gentle(), path, overwrite=True)
    assert open_image(path).size == (40, 24)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch, links):
    path = tmp_path / "a.png"
    real = os.fsync

    def appear(handle):
        path.write_bytes(b"theirs")
        real(handle)

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", appear)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(ImageError, match="which exists"):
        save(gentle(), path)
    assert path.read_bytes() == b"theirs"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_without_hard_links_a_file_is_still_saved(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert open_image(save(gentle(), tmp_path / "a.png")).size == (40, 24)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch, call, failure):
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")

    def fail(*_):
        raise failure

    monkeypatch.setattr(os, call, fail)
    expected = ImageError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        save(gentle(), path, overwrite=True)
    if expected is ImageError:
        assert f"got {path}: no space left on device; choose another" in str(caught.value)
    assert path.read_bytes() == b"mine"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    real = tmp_path / "real.png"
    real.write_bytes(b"old")
    link = tmp_path / "link.png"
    link.symlink_to(real)
    save(gentle(), link, overwrite=True)
    assert link.is_symlink()
    assert open_image(real).size == (40, 24)


def refused(path, **options) -> str:
    with pytest.raises(ImageError) as caught:
        check_output(path, **options)
    text = str(caught.value)
    assert text.startswith("`output` must ")
    assert "; " in text
    assert "\n" not in text
    return text


def test_check_output_accepts_a_new_file_and_leaves_no_trace(tmp_path):
    path = tmp_path / "new.png"
    assert check_output(str(path)) == path
    assert isinstance(check_output(path), Path)
    assert not list(tmp_path.iterdir())


def test_check_output_refuses_bad_places(tmp_path):
    assert "got the folder" in refused(tmp_path)
    missing = tmp_path / "none" / "a.png"
    assert f"in a folder that exists, got {missing}; create {tmp_path / 'none'} first" in refused(
        missing
    )
    (tmp_path / "file").touch()
    assert "in a folder that exists" in refused(tmp_path / "file" / "a.png")
    taken = tmp_path / "a.png"
    taken.touch()
    assert "which exists; choose another name" in refused(taken)
    assert check_output(taken, overwrite=True) == taken
    assert "name too long" in refused(tmp_path / ("x" * 300 + ".png"))
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert "a device" in refused(pipe, overwrite=True)


@pytest.mark.parametrize("name", ["a.gif", "a", "a.bmp", ".png", "", "a.png.txt"])
def test_check_output_refuses_other_endings(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = ImageError if name == "" else ValueError  # the empty path is this folder
    with pytest.raises(expected, match=r"^`output` must "):
        check_output(name)


def test_check_output_refuses_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", fail)
    assert "read-only file system" in refused(tmp_path / "a.png")


def test_check_output_refuses_every_road_to_an_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "in.png"
    source.write_bytes(file_of(Image.fromarray(noisy()), "PNG"))
    (tmp_path / "soft.png").symlink_to(source)
    os.link(source, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    for road in ("in.png", "soft.png", "hard.png", "sub/../in.png", str(source)):
        for given in (source, "in.png", str(source)):
            text = refused(road, overwrite=True, inputs=[b"bytes", noisy(), given])
            assert "must not be one of the inputs" in text
    assert check_output("out.png", inputs=[source, noisy(), None]) == Path("out.png")
    future = tmp_path / "future.png"
    assert "one of the inputs" in refused(future, inputs=["future.png"])


def test_save_refuses_an_input_too(tmp_path):
    source = save(gentle(), tmp_path / "a.png")
    before = source.read_bytes()
    with pytest.raises(ImageError, match="must not be one of the inputs"):
        save(torch.zeros(3, 2, 2), source, overwrite=True, inputs=[source])
    assert source.read_bytes() == before


@pytest.mark.parametrize("format", FORMATS)
def test_reading_and_saving_a_file_keeps_everything(format, tmp_path):
    exif = Image.Exif()
    exif[271] = "Maker"
    options = {"exif": exif.tobytes(), "dpi": (300, 300)}
    mode = "RGB" if format == "JPEG" else "RGBA"
    image = Image.fromarray(smooth(channels=len(mode)))
    source = open_image(file_of(image, format, **options))
    path = save(source.pixels, tmp_path / f"a.{format.lower()}", metadata=source.metadata)
    again = open_image(path)
    assert again.metadata.exif == source.metadata.exif or format in ("WEBP", "AVIF")
    assert b"Maker" in again.metadata.exif
    assert again.metadata.dpi == source.metadata.dpi
    assert again.metadata.format == source.metadata.format
    if mode == "RGBA":
        assert (again.metadata.alpha - source.metadata.alpha).abs().max() < 0.02


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("a.webp", (16_384, 4), "sides of at most 16,383 pixels as WEBP, got 16,384 × 4"),
        ("a.jpg", (4, 65_501), "sides of at most 65,500 pixels as JPEG, got 4 × 65,501"),
        ("a.avif", (32_769, 4), "sides of at most 32,768 pixels as AVIF, got 32,769 × 4"),
        ("a.avif", (20_000, 20_000), "at most 268,435,456 pixels as AVIF"),
        ("a.png", (1_000_001, 4), "sides of at most 1,000,000 pixels as PNG.*save it as TIFF"),
    ],
)
def test_a_size_that_the_format_cannot_hold_is_refused(name, size, sentence, tmp_path):
    with pytest.raises(ImageError, match=sentence):
        check_output_size(tmp_path / name, size)


@pytest.mark.parametrize(
    ("format", "longest"), [("webp", 16_383), ("jpg", 65_500), ("avif", 32_768), ("tif", 70_000)]
)
def test_the_longest_side_that_is_written_is_read_again(format, longest, tmp_path):
    check_output_size(tmp_path / f"a.{format}", (longest, 2))
    assert open_image(encode(torch.zeros(1, 2, longest), format)).size == (longest, 2)


def test_a_full_disk_is_refused_before_the_work(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=10**9, used=10**9 - 10_000, free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    check_output_size(tmp_path / "a.png", (1000, 1000))
    with pytest.raises(ImageError, match=r"at least 40,000 bytes are free, got .* with 10,000"):
        check_output_size(tmp_path / "a.png", (2000, 2000))


@pytest.mark.parametrize("name", ["x" * 252 + ".png", "ä" * 126 + ".png"])
def test_a_name_too_long_is_refused(name, tmp_path):
    with pytest.raises(ImageError, match="file name too long"):
        check_output(tmp_path / name)


def test_a_file_in_a_folder_of_inputs_is_not_replaced(tmp_path):
    path = save(gentle(), tmp_path / "a.png")
    with pytest.raises(ImageError, match="must not be one of the inputs"):
        check_output(path, overwrite=True, inputs=[tmp_path])
    check_output(tmp_path / "b.png", inputs=[tmp_path])
