"""EXIF, orientation, dpi and recipes: read, written and described."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_makers import FORMATS, chunk, file_of, noisy, rgb_profile, smooth, with_chunk
from PIL import Image, ImageOps

from impasto import ImageError
from impasto.images.image import ImageMetadata
from impasto.images.isobmff import split_avif_exif
from impasto.images.read import describe_image, open_image
from impasto.images.write import encode
from impasto.images.xmp import MAX_BYTES, from_xmp, to_xmp

RECIPE = '{"version":1,"preset":"default","note":"a <b> & \\"c\\" \\u00e9 ü \\n"}'


def camera_exif(orientation: int | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[272], exif[306] = "Maker", "Model X", "2020:01:02 03:04:05"
    exif[0x8769] = {0x829A: 0.01, 0x9003: "2020:01:02 03:04:05", 0xA001: 65535, 0xA002: 4000}
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 34.5), 29: "2020:01:02"}
    if orientation:
        exif[274] = orientation
    return exif


def kept(picture) -> Image.Exif:
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    return exif


def corners() -> np.ndarray:
    """Return an image that looks different in each orientation, (24, 40, 3)."""
    image = np.full((24, 40, 3), 128, np.uint8)
    image[:12, :20], image[:12, 20:], image[12:, :20] = (230, 20, 20), (20, 230, 20), (20, 20, 230)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", FORMATS)
def test_orientation_is_applied_once_and_removed(format, orientation):
    image = Image.fromarray(corners())
    exif = camera_exif(orientation)
    data = file_of(image, format, exif=exif.tobytes(), quality=95)
    turned = Image.fromarray(corners())
    turned.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned)) / 255
    picture = open_image(data)
    got = picture.pixels.permute(1, 2, 0).numpy()
    assert got.shape == expected.shape
    assert np.abs(got - expected).mean() < 0.03
    assert 274 not in kept(picture)
    assert kept(picture)[271] == "Maker"
    # Written and read again, it stays as it is.
    again = open_image(encode(picture.pixels, format, metadata=picture.metadata))
    assert torch.allclose(again.pixels, picture.pixels, atol=0.2)
    assert again.size == picture.size


@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_at_sixteen_bits_with_alpha(orientation):
    samples = noisy(channels=4, dtype=np.uint16)
    exif = camera_exif(orientation).tobytes()[6:]
    png = with_chunk(imagecodecs.png_encode(samples), b"eXIf", exif)
    file = io.BytesIO()
    tag = (274, 3, 1, orientation, True)
    tifffile.imwrite(file, samples, photometric="rgb", extrasamples=["unassalpha"], extratags=[tag])
    turned = samples[::-1, ::-1] if orientation == 3 else np.rot90(samples, -1)
    for data in (png, file.getvalue()):
        picture = open_image(data)
        got = (picture.pixels.double() * 65535).round().permute(1, 2, 0).numpy()
        assert np.array_equal(got, turned[..., :3])
        assert np.array_equal((picture.metadata.alpha.double() * 65535).round(), turned[..., 3])


def test_exif_behind_the_pixels_of_a_png_is_found():
    data = imagecodecs.png_encode(noisy(dtype=np.uint16))
    end = chunk(b"IEND", b"")
    behind = data[: -len(end)] + chunk(b"eXIf", camera_exif(6).tobytes()[6:]) + end
    picture = open_image(behind)
    assert picture.size == (9, 13)
    assert kept(picture)[272] == "Model X"


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_exif_survives_from_any_format_to_any(source, target):
    first = open_image(
        file_of(Image.fromarray(smooth()), source, exif=camera_exif().tobytes(), quality=90)
    )
    exif = kept(open_image(encode(first.pixels, target, metadata=first.metadata)))
    assert (exif[271], exif[272], exif[306]) == ("Maker", "Model X", "2020:01:02 03:04:05")
    photo, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert float(photo[0x829A]) == pytest.approx(0.01)
    assert photo[0x9003] == "2020:01:02 03:04:05"
    assert photo[0xA001] == 1, "the colors are sRGB now"
    assert photo[0xA002] == 40, "the width is this picture's"
    assert (gps[1], [float(v) for v in gps[2]]) == ("N", [48.0, 12.0, 34.5])


@pytest.mark.parametrize("format", FORMATS)
def test_gps_is_removed_on_request(format):
    exif = camera_exif()
    exif[0x8825] = {1: "N", 29: "1999:12:31"}
    metadata = ImageMetadata(exif=exif.tobytes())
    pixels = torch.full((3, 8, 8), 0.5)
    assert b"1999:12:31" in encode(pixels, format, metadata=metadata)
    stripped = encode(pixels, format, metadata=metadata, strip_gps=True)
    assert b"1999:12:31" not in stripped
    assert describe_image(stripped)["exif"]["has_gps"] is False
    assert kept(open_image(stripped))[271] == "Maker"


def test_an_image_given_exif_by_hand_is_read():
    image = Image.fromarray(smooth())
    for tag, value in camera_exif().items():
        image.getexif()[tag] = value
    exif = kept(open_image(image))
    assert exif[272] == "Model X"
    assert exif.get_ifd(0x8825)[1] == "N"


def test_thumbnails_and_storage_tags_are_not_carried():
    file = io.BytesIO()
    tifffile.imwrite(file, noisy(dtype=np.uint16), photometric="rgb", description="A view")
    exif = kept(open_image(file.getvalue()))
    assert exif[270] == "A view"
    assert not {256, 257, 258, 259, 262, 273, 277, 278, 279} & set(exif)


def test_broken_exif_is_as_good_as_none():
    for block in (b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
        data = with_chunk(file_of(Image.fromarray(noisy()), "PNG"), b"eXIf", block)
        picture = open_image(data)
        assert picture.size == (13, 9)
        assert describe_image(data)["exif"] == {}
        assert open_image(encode(picture.pixels, "jpg", metadata=picture.metadata)).size == (13, 9)
    assert len(encode(torch.zeros(3, 2, 2), "png", metadata=ImageMetadata(exif=b"nonsense"))) > 0


@pytest.mark.parametrize("action", ["error", "always"])
@pytest.mark.parametrize("format", FORMATS)
def test_broken_entries_of_exif_are_left_out_without_a_warning(format, action):
    data = file_of(Image.fromarray(smooth()), format, exif=camera_exif().tobytes())
    for entry in (struct.pack(">HHI", 0x9003, 2, 20), struct.pack(">HHI", 306, 2, 20)):
        broken = data.replace(entry, entry[:4] + struct.pack(">I", 10**6))
        if format == "TIFF":
            entry = entry[1::-1] + entry[3:1:-1] + entry[:3:-1]
            broken = data.replace(entry, entry[:4] + struct.pack("<I", 10**6))
        if format == "PNG":  # whose chunks have checksums
            block = camera_exif().tobytes()[6:].replace(entry, entry[:4] + struct.pack(">I", 10**6))
            broken = with_chunk(file_of(Image.fromarray(smooth()), "PNG"), b"eXIf", block)
        assert broken != data
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter(action)
            filters = list(warnings.filters)
            exif = kept(open_image(broken))
            facts = describe_image(broken)["exif"]
            assert warnings.filters == filters
        assert not issued
        assert exif[271] == "Maker"
        assert facts["make"] == "Maker"
        assert 0x9003 not in exif.get_ifd(0x8769) or 306 not in exif


def box(kind: bytes, *contents: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(b"".join(contents)), kind) + b"".join(contents)


def avif_of_tables(*tables: bytes) -> bytes:
    """An AVIF without pixels whose only item is an EXIF block."""
    item = box(b"infe", b"\2\0\0\0\0\1\0\0Exif\0")
    parts = (box(b"pitm", bytes(6)), box(b"iprp"), box(b"iinf", b"\0\0\0\0\0\1", item), *tables)
    return box(b"ftyp", b"avif\0\0\0\0") + box(b"meta", bytes(4), *parts)


def test_a_hostile_table_in_an_avif_is_not_followed():
    sizes = struct.pack(">B", 0x44)
    endless = b"\2\0\0\0" + sizes + b"\x40" + b"\xff" * 4
    endless += b"\0\0\0\1\0\0\0\0\0\0\0\0\xff\xff" * 10**5
    for table in (endless, endless.replace(b"\x44\x40", b"\0\0", 1), b"", b"\2\0\0\0"):
        with pytest.raises(ValueError, match=r"cut short|too many pieces"):
            split_avif_exif(avif_of_tables(box(b"iloc", table)))
    # Pieces that overlap are longer than the file together.
    pieces = struct.pack(">II", 0, 0) * 500
    table = b"\0\0\0\0\x44\0\0\1\0\1\0\0\1\xf4" + pieces
    for tables in ((), (box(b"iloc", table),)):
        data = avif_of_tables(*tables)
        assert split_avif_exif(data) == (data.replace(b"Exif", b"free"), b"")
    for data in (b"", b"meta", avif_of_tables().replace(b"Exif", b"mime")):
        assert split_avif_exif(data) == (data, b"")


def test_the_exif_of_an_avif_is_that_of_its_primary_item():
    block = camera_exif().tobytes()
    data = file_of(Image.fromarray(smooth()), "AVIF", exif=block)
    hidden, exif = split_avif_exif(data)
    assert exif in (block, block[6:])
    assert (len(hidden), hidden.count(b"Exif")) == (len(data), data.count(b"Exif") - 1)


def test_of_too_many_values_in_exif_the_first_counts():
    orientation = struct.pack(">HHI", 274, 3, 1)
    block = camera_exif(6).tobytes().replace(orientation, struct.pack(">HHI", 274, 3, 2))
    for format in ("PNG", "JPEG", "WEBP"):
        data = file_of(Image.fromarray(smooth()), format, exif=block)
        assert open_image(data).size == (24, 40)


def test_exif_too_long_for_a_jpeg_is_left_out():
    exif = camera_exif()
    exif[0x8769] = {0x927C: bytes(range(256)) * 300}
    metadata = ImageMetadata(exif=exif.tobytes())
    pixels = torch.full((3, 8, 8), 0.5)
    assert open_image(encode(pixels, "jpg", metadata=metadata)).metadata.exif is None
    kept_block = kept(open_image(encode(pixels, "png", metadata=metadata)))
    assert len(kept_block.get_ifd(0x8769)[0x927C]) == 256 * 300


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dpi", [(300.0, 300.0), (72.0, 150.0)])
def test_dpi_survives(format, dpi):
    data = encode(torch.full((3, 8, 8), 0.5), format, metadata=ImageMetadata(dpi=dpi))
    assert open_image(data).metadata.dpi == pytest.approx(dpi, rel=1e-3)
    assert describe_image(data)["dpi"] == pytest.approx(list(dpi), rel=1e-3)
    again = encode(torch.full((3, 8, 8), 0.5), format)
    assert open_image(again).metadata.dpi is None


def test_dpi_in_centimeters_and_dpi_that_makes_no_sense():
    file = io.BytesIO()
    options = {"photometric": "rgb", "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(file, noisy(), resolution=(100, 200), **options)
    assert open_image(file.getvalue()).metadata.dpi == pytest.approx((254, 508))
    file = io.BytesIO()
    tifffile.imwrite(file, noisy(), resolution=(0, 0), **options)
    assert open_image(file.getvalue()).metadata.dpi is None
    aspect = file_of(Image.fromarray(smooth()), "JPEG")
    assert open_image(aspect).metadata.dpi is None


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_recipe_is_read_back_as_it_was_written(format, alpha, bits):
    opacity = torch.rand(8, 9) if alpha else None
    metadata = ImageMetadata(alpha=opacity, bits=bits, exif=camera_exif().tobytes(), dpi=(300, 300))
    data = encode(torch.rand(3, 8, 9), format, metadata=metadata, recipe=RECIPE)
    assert open_image(data).metadata.recipe == RECIPE
    assert describe_image(data)["recipe"] == json.loads(RECIPE)
    assert open_image(encode(torch.rand(3, 8, 9), format)).metadata.recipe is None


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=30) | st.integers() | st.booleans()))
def test_any_json_passes_through_the_packet(recipe):
    for text in (json.dumps(recipe), json.dumps(recipe, ensure_ascii=False, indent=1)):
        if text.isprintable() or text.isascii():
            assert from_xmp(to_xmp(text)) == text


def test_a_recipe_other_programs_wrote_back():
    start = '<rdf:Description rdf:about="" xmlns:impasto="urn:impasto:1/" impasto:recipe='
    assert from_xmp(start + '"{&quot;steps&quot;: 3}"/>') == '{"steps": 3}'
    assert from_xmp((start + "'{\"steps\": 3}'/>").encode()) == '{"steps": 3}'


@pytest.mark.parametrize(
    "xmp",
    [
        None,
        b"",
        "no xml at all",
        b"<impasto:recipe>{not json}</impasto:recipe>",
        b"<impasto:recipe>[1, 2]</impasto:recipe>",
        b"<impasto:recipe></impasto:recipe>",
        b"<impasto:recipe>\xff\xfe</impasto:recipe>",
        b"<impasto:recipe>" + b'{"a":' * 50_000 + b"</impasto:recipe>",
        b'<!DOCTYPE x [<!ENTITY a "{}">]><impasto:recipe>&a;</impasto:recipe>',
        to_xmp('{"a": "' + "x" * MAX_BYTES + '"}'),
    ],
)
def test_what_is_no_recipe_is_none(xmp):
    assert from_xmp(xmp) is None


def test_a_packed_text_is_read_but_never_a_bomb():
    image = file_of(Image.fromarray(noisy()), "PNG")
    head = b"XML:com.adobe.xmp\0\x01\0\0\0"
    packed = with_chunk(image, b"iTXt", head + zlib.compress(to_xmp(RECIPE)))
    assert open_image(packed).metadata.recipe == RECIPE
    large = to_xmp('{"a": "' + " " * 50_000_000 + '"}')
    assert (
        open_image(with_chunk(image, b"iTXt", head + zlib.compress(large))).metadata.recipe is None
    )


def test_the_facts_of_a_file():
    image = Image.fromarray(noisy(24, 40, 4))
    exif = camera_exif(6)
    profile = rgb_profile("Display P3")
    data = file_of(image, "PNG", exif=exif, dpi=(300, 300), icc_profile=profile)
    facts = describe_image(data)
    assert facts == {
        "format": "PNG",
        "size": [24, 40],
        "mode": "RGBA",
        "bits": 8,
        "alpha": True,
        "icc": facts["icc"],
        "color_space": None,
        "exif": {
            "make": "Maker",
            "model": "Model X",
            "datetime": "2020:01:02 03:04:05",
            "orientation": 6,
            "has_gps": True,
        },
        "dpi": [300.0, 300.0],
        "frames": 1,
        "recipe": None,
        "bytes": len(data),
    }
    assert isinstance(facts["icc"], str)
    json.dumps(facts)


@pytest.mark.parametrize(
    ("format", "bits"), [("PNG", 8), ("PNG", 16), ("TIFF", 8), ("TIFF", 16), ("TIFF", 32)]
)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_the_facts_of_every_depth(format, bits, grey, alpha):
    metadata = ImageMetadata(alpha=torch.ones(4, 5) if alpha else None, bits=bits)
    facts = describe_image(encode(torch.rand(1 if grey else 3, 4, 5), format, metadata=metadata))
    assert facts["bits"] == bits
    assert facts["alpha"] is alpha
    assert facts["mode"] == ("L" if grey else "RGB") + ("A" if alpha else "")
    assert facts["icc"] == "sRGB built-in"
    assert facts["size"] == [5, 4]


def test_frames_are_counted_and_pixels_are_not_decoded():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    for format in ("PNG", "WEBP", "TIFF", "AVIF"):
        data = file_of(frames[0], format, save_all=True, append_images=frames[1:])
        assert describe_image(data)["frames"] == 3, format
    several = file_of(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert describe_image(several)["frames"] == 3
    assert describe_image(several)["format"] == "JPEG"
    assert describe_image(several.replace(b"MPF\0II*\0\x08", b"MPF\0II*\0\xff"))["frames"] == 1
    png = file_of(Image.fromarray(noisy(64, 64)), "PNG")
    assert describe_image(png[: len(png) // 2])["size"] == [64, 64]


def test_the_facts_of_no_picture(tmp_path):
    with pytest.raises(ImageError, match=r"^`file` must be a readable picture, got .*no such"):
        describe_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="it is a PDF"):
        describe_image(b"%PDF-1.7" + bytes(20))
