"""Files: every format and mode is read, everything else is refused in one sentence."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from image_makers import FORMATS, chunk, file_of, noisy, smooth, with_chunk
from PIL import Image

from impasto import ImageError
from impasto.images.read import describe_image, open_image

WAY_OUT = "give a JPEG, PNG, WebP, TIFF, AVIF, JPEG XL, GIF, BMP or PPM file"


def refused(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(source, name="content", **options)
    text = str(caught.value)
    assert text.startswith("`content` must be a readable picture, got ")
    assert text.endswith(WAY_OUT)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read_by_content_whatever_the_name(format, tmp_path):
    path = tmp_path / "wrong.xyz"
    path.write_bytes(file_of(Image.fromarray(smooth()), format, quality=95))
    picture = open_image(path)
    assert picture.metadata.format == format
    assert picture.pixels.shape == (3, 24, 40)
    assert picture.pixels.dtype == torch.float32
    difference = picture.pixels.permute(1, 2, 0).numpy() - smooth() / 255
    assert np.abs(difference).max() < 0.06


@pytest.mark.parametrize("form", ["path", "text", "bytes", "stream", "file"])
def test_a_file_arrives_in_any_form(form, tmp_path):
    data = file_of(Image.fromarray(noisy()), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        source = {
            "path": path,
            "text": str(path),
            "bytes": data,
            "stream": io.BytesIO(data),
            "file": file,
        }[form]
        picture = open_image(source)
    assert np.array_equal((picture.pixels * 255).round().permute(1, 2, 0).numpy(), noisy())
    assert picture.metadata.bits == 8
    assert picture.metadata.alpha is None


def test_a_pipe_is_read(tmp_path):
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = file_of(Image.fromarray(noisy()), "PNG")
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert open_image(pipe).size == (13, 9)
    writer.join()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "AVIF"])
def test_grey_stays_one_channel(format):
    picture = open_image(file_of(Image.fromarray(smooth()[..., 0]), format))
    assert picture.pixels.shape == (1, 24, 40)


def test_palette_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    plain = open_image(file_of(image, "PNG"))
    assert plain.pixels[:, 0].T.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert plain.metadata.alpha is None
    for transparency in (b"\xff\x33", 1):
        clear = open_image(file_of(image, "PNG", transparency=transparency))
        assert clear.pixels[:, 0].T.tolist() == [[1, 0, 0], [0, 0, 1]]
        second = 0.2 if transparency != 1 else 0
        assert clear.metadata.alpha.tolist() == [[1, pytest.approx(second)]]


def test_one_bit_and_transparent_grey_and_color():
    one = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert open_image(file_of(one, "PNG")).pixels.tolist() == [[[0, 1]]]
    grey = Image.fromarray(np.array([[0, 255]], np.uint8))
    picture = open_image(file_of(grey, "PNG", transparency=255))
    assert picture.pixels.tolist() == [[[0, 1]]]
    assert picture.metadata.alpha.tolist() == [[1, 0]]
    color = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    picture = open_image(file_of(color, "PNG", transparency=(4, 5, 6)))
    assert picture.pixels.shape == (3, 1, 2)
    assert picture.metadata.alpha.tolist() == [[1, 0]]


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_opacity_is_split_off_even_where_it_is_all_opaque(format, channels):
    samples = noisy(channels=channels)
    samples[..., -1] = 255
    picture = open_image(file_of(Image.fromarray(samples), format))
    assert picture.pixels.shape == (channels - 1, 9, 13)
    assert picture.metadata.alpha.shape == (9, 13)
    assert bool((picture.metadata.alpha == 1).all())
    samples[..., -1] = noisy()[..., 0]
    alpha = open_image(file_of(Image.fromarray(samples), format)).metadata.alpha
    assert np.array_equal((alpha * 255).round().numpy(), samples[..., -1])


def test_cmyk_without_a_profile():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 255, 0, 128]]], np.uint8)
    image = Image.new("CMYK", (4, 1))
    image.frombytes(inks.tobytes())
    expected = [[1, 1, 1], [0, 1, 1], [0, 0, 0], [127 / 255, 0, 127 / 255]]
    pixels = open_image(file_of(image, "TIFF")).pixels
    assert np.allclose(pixels[:, 0].T.numpy(), expected, atol=1e-6)
    wide = image.resize((64, 16), Image.Resampling.NEAREST)
    jpeg = open_image(file_of(wide, "JPEG", quality=100)).pixels[:, 8, 8::16].T.numpy()
    assert np.allclose(jpeg, expected, atol=0.02)


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    for format in ("PNG", "WEBP", "TIFF", "AVIF"):
        data = file_of(frames[0], format, save_all=True, append_images=frames[1:])
        image = open_image(data)
        red, green, blue = image.pixels.mean(dim=(1, 2)).tolist()
        assert (red > 0.95, green < 0.05, blue < 0.05) == (True, True, True), format
        assert image.metadata.frames == describe_image(data)["frames"] == 3, format
        assert "1 of its 3" in image.metadata.notes[0], format
    mpo = file_of(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert open_image(mpo).metadata.frames == 3
    assert open_image(file_of(frames[0], "PNG")).metadata.frames == 1


def test_smaller_copies_in_a_tiff_are_no_frames():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        for kind in (0, 1):
            tiff.write(noisy(), photometric="rgb", subfiletype=kind)
    assert open_image(file.getvalue()).metadata.frames == 1


def test_missing_folder_empty_text_and_null(tmp_path):
    missing = tmp_path / "none.png"
    assert f"got {missing}: there is no such file;" in refused(missing)
    assert "there is no such file" in refused(str(missing))
    assert "there is no such file" in refused("a\0b.png")
    assert "there is no such file" in refused("")
    assert f"got {tmp_path}: it is a folder;" in refused(tmp_path)
    empty = tmp_path / "empty.png"
    empty.touch()
    assert f"got {empty}: the file is empty;" in refused(empty)
    text = tmp_path / "text.png"
    text.write_text("Dear diary, today I painted.")
    assert "it is not in a format that impasto knows" in refused(text)
    assert "got 0 bytes: the file is empty" in refused(b"")
    assert "it is a device" in refused(Path(os.devnull))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "permission denied" in refused(path)


def test_a_disk_that_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def fail(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "permission denied" in refused(path)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"%!PS-Adobe", "an EPS"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC"),
        (bytes(100), "not in a format that impasto knows"),
        (b"\x89PNG", "not in a format that impasto knows"),
    ],
)
def test_other_formats_are_refused_by_name(start, words):
    assert f"bytes: it is {words};" in refused(start)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_file_cut_short_is_refused_whole(format, part, capfd):
    options = {"AVIF": {"quality": 90}, "WEBP": {"lossless": True}}.get(format, {})
    data = file_of(Image.fromarray(noisy(96, 96)), format, **options)
    text = refused(data[: int(len(data) * part)])
    assert "cut short" in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_cut_short_is_refused(compression, dtype, capfd):
    file = io.BytesIO()
    tifffile.imwrite(file, noisy(64, 64, dtype=dtype), photometric="rgb", compression=compression)
    data = file.getvalue()
    assert "cut short" in refused(data[: len(data) * 2 // 3])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("mode", "compression"), [("1", "group4"), ("YCbCr", None)])
def test_a_tiff_for_libtiff_cut_short_is_refused_quietly(mode, compression, capfd):
    image = Image.fromarray(noisy(64, 64)).convert(mode)
    data = file_of(image, "TIFF", compression=compression)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        end = page.dataoffsets[-1] + page.databytecounts[-1]
    if end == len(data):
        assert "the file is cut short" in refused(data[:-1])
    else:  # the directory stands behind the pixels: claim more than there are
        stream = io.BytesIO(data)
        with tifffile.TiffFile(stream, mode="r+") as file:
            file.pages[0].tags["StripByteCounts"].overwrite(len(data) * 2)
        assert "the file is cut short" in refused(stream.getvalue())
    assert capfd.readouterr() == ("", "")


def test_a_sixteen_bit_png_cut_short_is_refused(capfd):
    import imagecodecs

    data = imagecodecs.png_encode(noisy(64, 64, dtype=np.uint16))
    assert "cut short" in refused(data[: len(data) // 2])
    assert capfd.readouterr() == ("", "")


def huge_png() -> bytes:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def huge_deep_png() -> bytes:
    data = bytearray(huge_png())
    data[24] = 16
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def huge_jpeg() -> bytes:
    data = bytearray(file_of(Image.new("RGB", (8, 8)), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    return bytes(data)


def huge_tiff(dtype=np.uint8) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8, 3), dtype), photometric="rgb")
    file.seek(0)
    with tifffile.TiffFile(file, mode="r+") as tiff:
        tags = tiff.pages[0].tags
        tags["ImageWidth"].overwrite(60_000)
        tags["ImageLength"].overwrite(60_000)
    return file.getvalue()


def huge_webp() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (59_999).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def huge_avif() -> bytes:
    data = bytearray(file_of(Image.new("RGB", (8, 8)), "AVIF"))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


@pytest.mark.parametrize(
    "make",
    [
        huge_png,
        huge_deep_png,
        huge_jpeg,
        huge_tiff,
        lambda: huge_tiff(np.uint16),
        huge_webp,
        huge_avif,
    ],
)
def test_a_header_claiming_too_many_pixels_is_refused_before_decoding(make, recwarn):
    text = refused(make())
    assert "it claims 60,000 × 60,000 pixels, more than the limit of 500,000,000" in text
    assert not recwarn.list


@pytest.mark.parametrize("format", FORMATS)
def test_the_limit_is_exact(format):
    data = file_of(Image.fromarray(smooth()), format)
    assert open_image(data, max_pixels=24 * 40).size == (40, 24)
    assert "it claims 40 × 24 pixels, more than the limit of 959" in refused(
        data, max_pixels=24 * 40 - 1
    )


def test_pillows_own_limit_neither_warns_nor_refuses(monkeypatch, recwarn):
    for format in FORMATS:
        data = file_of(Image.fromarray(smooth()), format)
        # Between once and twice this, Pillow warns; beyond, it raises.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500 if format == "WEBP" else 100)
        assert open_image(data).size == (40, 24)
        monkeypatch.undo()
    assert not recwarn.list


def test_a_tiff_for_libtiff_with_broken_tags_is_read():
    bilevel = noisy()[..., 0] > 100
    data = file_of(Image.fromarray(bilevel), "TIFF", compression="group4", tiffinfo={270: "a view"})
    place = data.index(struct.pack("<HHI", 270, 2, 7)) + 4
    data = data[:place] + struct.pack("<I", 10**6) + data[place + 4 :]
    assert torch.equal(open_image(data).pixels[0], torch.from_numpy(bilevel).float())


def test_an_animated_png_that_contradicts_itself_is_read_as_one_image():
    frames = [Image.fromarray(noisy()), Image.fromarray(255 - noisy())]
    data = file_of(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert describe_image(data)["frames"] == 2
    for control in (struct.pack(">II", 2, 0), bytes(8)):
        assert describe_image(with_chunk(data, b"acTL", control))["frames"] == 1
        assert open_image(with_chunk(data, b"acTL", control)).size == (13, 9)


def test_a_header_of_nonsense_is_refused(capfd):
    for start in (b"\xff\xd8\xff", huge_png()[:16] + b"\0\0\0\5" * 2, b"RIFFxxxxWEBP", b"II*\0"):
        assert "header is broken or cut short" in refused(start + b"\x01\x02" * 40)
    assert "TIFF header" in refused(b"MM\0+" + bytes(50))
    assert "AVIF header" in refused(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(50))
    assert capfd.readouterr() == ("", "")


def test_a_png_with_a_text_that_bursts_is_read_without_it():
    bomb = b"XML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(bytes(5_000_000))
    data = with_chunk(file_of(Image.fromarray(noisy()), "PNG"), b"iTXt", bomb)
    picture = open_image(data)
    assert picture.size == (13, 9)
    assert picture.metadata.recipe is None


def test_a_stream_open_for_text_is_a_type_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    with path.open() as file, pytest.raises(TypeError, match="must be a file of bytes"):
        open_image(file)


def test_errors_name_the_argument_and_the_stream():
    stream = io.BytesIO(b"hello")
    stream.name = "<stdin>"
    with pytest.raises(ImageError, match=r"^`style` must be .*, got <stdin>: it is not in a"):
        open_image(stream, name="style")


@pytest.mark.parametrize(
    ("marker", "bits", "channels", "name"),
    [
        (0xC1, 12, 3, "a JPEG with 12 bits a channel"),
        (0xC0, 8, 2, "a JPEG with 2 channels"),
        (0xC3, 8, 3, "a lossless JPEG"),
        (0xC6, 8, 3, "a hierarchical JPEG"),
        (0xCF, 8, 3, "a hierarchical JPEG"),
        (0xF7, 8, 3, "a JPEG-LS"),
        (0xF7, 16, 1, "a JPEG-LS"),
    ],
)
def test_a_jpeg_that_is_not_read_is_called_by_its_name(marker, bits, channels, name):
    data = bytearray(file_of(Image.fromarray(smooth()), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4], data[frame + 9] = marker, bits, channels
    with pytest.raises(ImageError, match=f"it is {name}; save it as PNG, or as JPEG with 8 bits"):
        open_image(bytes(data))


def test_other_files_of_the_jpeg_family_are_called_by_their_names():
    samples = smooth()
    for data, name in (
        (imagecodecs.jpeg8_encode(samples[..., 0].astype(np.uint16), bitspersample=12), "12 bits"),
        (imagecodecs.jpegls_encode(samples), "a JPEG-LS"),
        (imagecodecs.ljpeg_encode(samples[..., 0].astype(np.uint16)), "a lossless JPEG"),
        (imagecodecs.jpeg2k_encode(samples, codecformat="j2k"), "a JPEG 2000"),
        (imagecodecs.jpegxr_encode(samples), "a JPEG XR"),
    ):
        with pytest.raises(ImageError, match=f"it is .*{name}"):
            open_image(bytes(data))
