"""Colors that a file states without a profile arrive in sRGB where the formulas put them."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_makers import PRIMARIES, WHITE, expected_srgb, file_of, noisy, rgb_profile, with_chunk
from PIL import Image

from impasto import ImageError
from impasto.images.masks import open_mask
from impasto.images.open_input import open_input
from impasto.images.read import describe_image, open_image
from impasto.images.write import encode

COLORS = np.array(
    [[0, 255, 0], [230, 40, 40], [0, 128, 255], [255, 255, 255], [0, 0, 0], [12, 120, 70]], np.uint8
)
SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHRM = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def codes(primaries, transfer, full_range=1):
    return {b"cICP": bytes([primaries, transfer, 0, full_range])}


def gamma(value):
    return {b"gAMA": struct.pack(">I", value)}


def png(samples, chunks):
    data = imagecodecs.png_encode(np.ascontiguousarray(samples))
    for kind, content in chunks.items():
        data = with_chunk(data, kind, content)
    return data


def srgb_to_light(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def light_to_srgb(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def camera_to_light(v):
    return np.where(v < 0.0812428, v / 4.5, ((v + 0.0992968) / 1.0992968) ** (1 / 0.45))


def in_p3(v):  # `expected_srgb` of a gamma of 1 takes light
    return expected_srgb(srgb_to_light(v), "Display P3", 1)


def rec2020(v):
    matrix = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    return light_to_srgb(np.clip(camera_to_light(v) @ np.array(matrix).T, 0, 1))


STATED = {
    "Display P3 (cICP)": (codes(12, 13), in_p3),
    "BT.709, BT.709 curve (cICP)": (codes(1, 1), lambda v: light_to_srgb(camera_to_light(v))),
    "BT.2020, BT.2020 curve (cICP)": (codes(9, 14), rec2020),
    "BT.709, gamma 2.2 (cICP)": (codes(1, 4), lambda v: light_to_srgb(v**2.2)),
    "BT.709, gamma 2.8 (cICP)": (codes(1, 5), lambda v: light_to_srgb(v**2.8)),
    "BT.709, linear (cICP)": (codes(1, 8), light_to_srgb),
    "BT.709, logarithmic (cICP)": (
        codes(1, 9),
        lambda v: light_to_srgb(np.where(v > 0, 10 ** (2 * (v - 1)), 0)),
    ),
    "BT.709, SMPTE 428 curve (cICP)": (
        codes(1, 17),
        lambda v: light_to_srgb(np.minimum(52.37 / 48 * v**2.6, 1)),
    ),
    "sRGB (cICP)": (codes(1, 13), lambda v: v),
    "gamma 1 (gAMA)": (gamma(100_000), light_to_srgb),
    "gamma 1.8 (gAMA)": (gamma(55_556), lambda v: light_to_srgb(v ** (1 / 0.55556))),
    "stated primaries (cHRM)": ({b"cHRM": P3_CHRM}, in_p3),
    "gamma 1, stated primaries (gAMA, cHRM)": (
        gamma(100_000) | {b"cHRM": P3_CHRM},
        lambda v: expected_srgb(v, "Display P3", 1),
    ),
    "sRGB (sRGB chunk)": ({b"sRGB": b"\0"} | gamma(100_000), lambda v: v),
    "sRGB (gAMA, cHRM)": (gamma(45_455) | {b"cHRM": SRGB_CHRM}, lambda v: v),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("words", STATED)
def test_chunks_of_a_png_are_followed(words, dtype):
    chunks, expected = STATED[words]
    samples = COLORS[None].astype(dtype) * (np.iinfo(dtype).max // 255)
    data = png(samples, chunks)
    assert describe_image(data)["color_space"] == words
    pixels = open_image(data).pixels[:, 0].T.numpy()
    assert np.abs(pixels - expected(COLORS / 255)).max() < 5e-4


@pytest.mark.parametrize("name", PRIMARIES)
def test_primaries_of_any_kind(name):
    values = [round(100_000 * v) for v in (*WHITE, *np.ravel(PRIMARIES[name]))]
    data = png(COLORS[None], gamma(45_455) | {b"cHRM": struct.pack(">8I", *values)})
    pixels = open_image(data).pixels[:, 0].T.numpy()
    assert np.abs(pixels - expected_srgb(COLORS / 255, name, 1 / 0.45455)).max() < 5e-4


def test_white_of_another_kind_stays_white():
    data = png(COLORS[None], codes(11, 17))
    white, black = open_image(data).pixels[:, 0, 3], open_image(data).pixels[:, 0, 4]
    assert white.tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert black.tolist() == [0, 0, 0]


def test_the_order_of_precedence():
    profile = {b"iCCP": b"p\0\0" + zlib.compress(rgb_profile("swapped"))}
    broken = {b"iCCP": b"p\0\0" + zlib.compress(b"no profile")}
    lower = gamma(100_000) | {b"cHRM": P3_CHRM}
    values = COLORS / 255

    def colors_of(*chunks):
        merged = {kind: content for each in chunks for kind, content in each.items()}
        return open_image(png(COLORS[None], merged)).pixels[:, 0].T.numpy()

    swapped = colors_of(profile)
    assert np.abs(swapped - expected_srgb(values, "swapped")).max() < 2e-3
    assert np.abs(colors_of(codes(12, 13), profile, lower) - in_p3(values)).max() < 5e-4
    assert np.array_equal(colors_of(profile, {b"sRGB": b"\0"}, lower), swapped)
    linear = expected_srgb(values, "Display P3", 1)
    assert np.abs(colors_of(broken, lower) - linear).max() < 5e-4
    # Nothing is stated: by codes that say so, by unknown ones, or by numbers that make no sense.
    for nothing in (codes(2, 2), codes(0, 200), gamma(0), {b"cHRM": bytes(32)}, {b"cICP": b"\1"}):
        assert np.array_equal(colors_of(nothing), values.astype(np.float32)), nothing
    late = imagecodecs.png_encode(COLORS[None])[:-12]
    late += png(COLORS[None], gamma(100_000))[33:49] + late[-12:]
    assert describe_image(late)["color_space"] is None


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused_by_name(transfer):
    name = {16: "PQ", 18: "HLG"}[transfer]
    with pytest.raises(ImageError, match=rf"its colors are HDR \({name}\).*; convert it to SDR"):
        open_image(png(COLORS[None], codes(9, transfer)))
    with pytest.raises(ImageError, match=rf"HDR \({name}\)"):
        open_mask(avif(9, transfer), "mask")


def test_gray_stays_gray_and_opacity_is_not_converted():
    samples = noisy(channels=2)
    picture = open_image(png(samples, gamma(100_000) | {b"cHRM": P3_CHRM}))
    expected = light_to_srgb(samples[..., 0] / 255)
    assert picture.pixels.shape == (1, 9, 13)
    assert np.abs(picture.pixels[0].numpy() - expected).max() < 1e-6
    assert np.array_equal((picture.metadata.alpha * 255).round().numpy(), samples[..., 1])
    mask = open_mask(png(samples[..., 0], gamma(100_000)), "mask")
    assert np.abs(mask.pixels[0].numpy() - expected).max() < 1e-6


@pytest.mark.parametrize(("dtype", "step"), [(np.uint8, 1), (np.uint16, 256)])
def test_narrow_range(dtype, step):
    samples = (np.array([[0, 16, 126, 235, 255]]) * step).astype(dtype)[..., None].repeat(3, -1)
    pixels = open_image(png(samples, codes(1, 13, full_range=0))).pixels[0, 0]
    assert pixels.tolist() == pytest.approx([0, 0, 110 / 219, 1, 1], abs=1e-6)


def test_a_large_picture_is_converted_in_parts():
    samples = noisy(640, 800)
    pixels = open_image(png(samples, gamma(100_000))).pixels.permute(1, 2, 0).numpy()
    assert np.abs(pixels - light_to_srgb(samples / 255)).max() < 1e-6


def directories(color_space, index, order, start) -> bytes:
    """EXIF's inner directory, and behind it the one of interoperability, at an offset."""
    entries = []
    if color_space:
        entries.append(struct.pack(order + "HHIHxx", 0xA001, 3, 1, color_space))
    if index:
        entries.append(struct.pack(order + "HHII", 0xA005, 4, 1, start + 38))
    block = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    last = struct.pack(order + "HHHI4sI", 1, 1, 2, 4, index or b"", 0)
    return block.ljust(38, b"\0") + last


def exif(color_space=None, index=None, order="<") -> bytes:
    """An EXIF block as cameras write it."""
    head = b"Exif\0\0" + (b"II" if order == "<" else b"MM")
    head += struct.pack(order + "HIHHHIII", 42, 8, 1, 0x8769, 4, 1, 26, 0)
    return head + directories(color_space, index, order, 26)


def picture_with_exif(format, *stated, order="<"):
    samples = np.full((16, 16, 3), (120, 200, 90), np.uint8)
    if format == "TIFF":
        # tifffile writes no pointer to EXIF, so that one with another number becomes it.
        data = tiff(samples, (34664, "I", 1, 2048, True), photometric="rgb", byteorder=order)
        tags = (struct.pack(order + "HHII", tag, 4, 1, 2048) for tag in (34664, 34665))
        return data.replace(*tags).ljust(2048, b"\0") + directories(*stated, order, 2048)
    options = {"lossless": True} if format == "WEBP" else {"quality": 100}
    data = file_of(Image.fromarray(samples), format, exif=exif(*stated, order), **options)
    return data.replace(b"nclx" + bytes([0, 1, 0, 13]), b"nclx" + bytes([0, 2, 0, 2]))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("stated", [(65535, b"R03\0"), (None, b"R03\0"), (2, None)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_adobe_rgb_of_exif(format, stated, order):
    data = picture_with_exif(format, *stated, order=order)
    assert describe_image(data)["color_space"] == "Adobe RGB (EXIF)"
    pixels = open_image(data).pixels[:, 8, 8].numpy()
    expected = expected_srgb(np.array([[120, 200, 90]]) / 255, "Adobe RGB", 563 / 256)[0]
    assert np.abs(pixels - expected).max() < (0.02 if format in ("JPEG", "AVIF") else 1e-4)
    assert abs(pixels[0] - 120 / 255) > 0.05
    # The colors are sRGB now, and a copy says so.
    copy = encode(open_image(data).pixels, "jpg", metadata=open_image(data).metadata)
    assert describe_image(copy)["color_space"] in (None, "sRGB (EXIF)")


@pytest.mark.parametrize(
    ("stated", "words"),
    [((1, b"R98\0"), "sRGB (EXIF)"), ((65535, None), None), ((65535, b"R98\0"), "sRGB (EXIF)")],
)
def test_other_words_of_exif_change_nothing(stated, words):
    data = picture_with_exif("WEBP", *stated)
    assert describe_image(data)["color_space"] == words
    assert (open_image(data).pixels[:, 8, 8] * 255).tolist() == pytest.approx([120, 200, 90])


def test_a_profile_outranks_exif():
    profile = rgb_profile("swapped")
    image = Image.new("RGB", (4, 4), (120, 200, 90))
    data = file_of(image, "WEBP", lossless=True, icc_profile=profile, exif=exif(65535, b"R03\0"))
    expected = expected_srgb(np.array([[120, 200, 90]]) / 255, "swapped")[0]
    assert np.abs(open_image(data).pixels[:, 0, 0].numpy() - expected).max() < 2e-3


def test_an_image_open_in_pillow():
    for data in (
        png(COLORS[None], gamma(100_000) | {b"cHRM": P3_CHRM}),
        picture_with_exif("PNG", 65535, b"R03\0"),
    ):
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(open_image(image).pixels, open_image(data).pixels)


def avif(primaries, transfer, color=(120, 200, 90)) -> bytes:
    data = file_of(Image.new("RGB", (16, 16), color), "AVIF", quality=100)
    return data.replace(
        b"nclx" + bytes([0, 1, 0, 13]), b"nclx" + struct.pack(">HH", primaries, transfer)
    )


def test_codes_of_an_avif():
    data = avif(12, 8)
    assert describe_image(data)["color_space"] == "Display P3, linear (nclx)"
    expected = expected_srgb(np.array([[120, 200, 90]]) / 255, "Display P3", 1)[0]
    assert np.abs(open_image(data).pixels[:, 8, 8].numpy() - expected).max() < 0.01
    assert describe_image(avif(1, 13))["color_space"] == "sRGB (nclx)"
    # A box outside the main image's properties states nothing of it.
    other = struct.pack(">I4s4sHH", 16, b"free", b"nclx", 9, 16)
    assert describe_image(avif(1, 13) + other)["color_space"] == "sRGB (nclx)"


def tiff(samples, *tags, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, extratags=tags, **options)
    return file.getvalue()


@pytest.mark.parametrize("photometric", ["rgb", "minisblack", "miniswhite"])
def test_curve_and_primaries_of_a_tiff(photometric):
    curve = (65535 * (np.arange(256) / 255) ** 1.8).round().astype(int)
    samples = COLORS[None] if photometric == "rgb" else COLORS[None, :, 0]
    # 0 stands for white: the curve leads from stored values to light all the same.
    light = (samples / 255) ** 1.8
    tags = [(301, "H", 256, tuple(curve if photometric != "miniswhite" else curve[::-1]), True)]
    expected = light_to_srgb(light)
    if photometric == "rgb":
        primaries = [n for v in np.ravel(PRIMARIES["Adobe RGB"]) for n in (round(v * 1000), 1000)]
        tags.append((318, "2I", 2, (3127, 10000, 3290, 10000), True))
        tags.append((319, "2I", 6, tuple(primaries), True))
        expected = expected_srgb(samples / 255, "Adobe RGB", 1.8)
    elif photometric == "miniswhite":
        expected = light_to_srgb((1 - samples / 255) ** 1.8)
    data = tiff(samples, *tags, photometric=photometric)
    pixels = open_image(data).pixels.permute(1, 2, 0).squeeze(-1).numpy()
    assert np.abs(pixels - expected).max() < 1e-3


def test_what_is_to_be_cleaned_is_converted_too():
    data = png(COLORS[None], gamma(100_000))
    source = open_input(data)
    assert np.array_equal(source.pixels, open_image(data).pixels)
    written = open_image(encode(source.pixels, "png", metadata=source.metadata, bits=16))
    assert np.abs((written.pixels - source.pixels).numpy()).max() < 1 / 65535
