"""XMP of other programs, IPTC records and TIFF tags: kept, corrected, or said to be left out."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
import torch
from image_makers import FORMATS, noisy
from PIL import Image, PngImagePlugin

from impasto.images.iptc import jpeg_iptc, png_iptc
from impasto.images.open_input import open_input
from impasto.images.read import open_image, read_recipe
from impasto.images.tiff_write import write_stack
from impasto.images.write import encode, metadata_left_out
from impasto.images.xmp import foreign_xmp, from_xmp, to_xmp, without_pixel_facts

RECIPE = '{"steps": 3}'
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
PACKET = (
    f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF {RDF}>"
    "<rdf:Description rdf:about='uuid:7' xmlns:dc='http://purl.org/dc/elements/1.1/' "
    "xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
    "xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='4' tiff:Orientation='1' "
    "exif:GPSLatitude='52,30N' exif:PixelXDimension='13'>"
    "<dc:creator><rdf:Seq><rdf:li>Ann &amp; Bo</rdf:li></rdf:Seq></dc:creator>"
    "<tiff:ImageWidth>13</tiff:ImageWidth></rdf:Description></rdf:RDF></x:xmpmeta>"
).encode()
IPTC = b"\x1c\x02\x50\x00\x03Ann\x1c\x02\x5a\x00\x06Berlin"
TAGS = [
    (33550, 12, 3, (10.0, 20.0, 0.0), True),
    (33922, 12, 6, (4.0, 2.0, 0.0, 5e5, 4e6, 0.0), True),
    (34735, 3, 4, (1, 1, 0, 0), True),
    (34737, 2, 0, "WGS 84|", True),
    (42112, 2, 0, "<GDALMetadata/>", True),
    (65000, 5, 2, (1, 3, 2, 5), True),
]


def file_with_metadata(format: str, order: str = "<", **options) -> bytes:
    """A picture (9, 13, 3) with XMP, and with IPTC and tags where the format has them."""
    samples, file = noisy(), io.BytesIO()
    if format == "TIFF":
        tags = [*TAGS, (700, 1, None, PACKET, True), (33723, 7, None, IPTC, True)]
        tags += options.pop("extratags", [])
        options = {"photometric": "rgb", "metadata": None, "extratags": tags, **options}
        tifffile.imwrite(file, samples, byteorder=order, **options)
        return file.getvalue()
    if format == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", PACKET.decode())
        texts.add_text("Raw profile type iptc", png_iptc(IPTC).decode(), zip=True)
        options["pnginfo"] = texts
    else:
        options["xmp"] = PACKET
    Image.fromarray(samples).save(file, format, **options)
    data = file.getvalue()
    if format == "JPEG":
        content = jpeg_iptc(IPTC)
        data = data[:2] + b"\xff\xed" + struct.pack(">H", len(content) + 2) + content + data[2:]
    return data


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_xmp_and_iptc_are_kept_where_the_format_holds_them(source, target):
    image = open_image(file_with_metadata(source))
    data = encode(image.pixels, target.lower(), metadata=image.metadata, recipe=RECIPE)
    metadata = open_image(data).metadata
    assert metadata.recipe == RECIPE
    assert "Ann &amp; Bo" in metadata.xmp
    assert "Rating='4'" in metadata.xmp
    assert "PixelXDimension" not in metadata.xmp
    assert "ImageWidth" not in metadata.xmp
    has_iptc = source in ("JPEG", "PNG", "TIFF")
    holds_iptc = target in ("JPEG", "PNG", "TIFF")
    assert metadata.iptc == (IPTC if has_iptc and holds_iptc else None)
    assert metadata.tags == (image.metadata.tags if target == "TIFF" else ())
    assert metadata_left_out(image.metadata, target.lower(), image.size) == (
        *(("its IPTC records",) if has_iptc and not holds_iptc else ()),
        *(("its georeference and other TIFF tags",) if source == "TIFF" != target else ()),
    )
    # Again, the recipe is replaced.
    data = encode(image.pixels, target.lower(), metadata=metadata, recipe="{}")
    assert open_image(data).metadata.xmp == metadata.xmp
    assert read_recipe(data) == "{}"


@pytest.mark.parametrize("format", FORMATS)
def test_a_stripped_file_carries_nothing_but_the_recipe(format):
    image = open_image(file_with_metadata(format))
    options = {"metadata": image.metadata, "recipe": RECIPE}
    assert metadata_left_out(image.metadata, "webp", image.size, strip=True) == ()
    metadata = open_image(encode(image.pixels, format.lower(), strip=True, **options)).metadata
    assert (metadata.xmp, metadata.iptc, metadata.tags) == (None, None, ())
    assert (metadata.exif, metadata.dpi, metadata.recipe) == (None, None, RECIPE)
    metadata = open_image(encode(image.pixels, format.lower(), strip_gps=True, **options)).metadata
    assert "GPS" not in metadata.xmp
    assert "Ann" in metadata.xmp
    assert b"Berlin" not in (metadata.iptc or b"")
    assert {tag[0] for tag in metadata.tags} <= {42112, 65000}


@pytest.mark.parametrize("order", "<>")
def test_a_georeference_fits_the_size_of_the_result(order):
    image = open_image(file_with_metadata("TIFF", order))
    for factor in (1, 2):
        pixels = torch.rand(3, 9 * factor, 13 * factor)
        data = encode(pixels, "tiff", metadata=image.metadata)
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags = {tag.code: tag.value for tag in file.pages[0].tags}
        assert tags[33550] == (10 / factor, 20 / factor, 0)
        assert tags[33922] == (4 * factor, 2 * factor, 0, 5e5, 4e6, 0)
        assert (tags[34735], tags[34737]) == ((1, 1, 0, 0), "WGS 84|")
        assert (tags[42112], tags[65000]) == ("<GDALMetadata/>", (1, 3, 2, 5))
    turned = file_with_metadata("TIFF", extratags=[(274, 3, 1, 6, True)])
    metadata = open_image(turned).metadata
    assert {tag[0] for tag in metadata.tags} == {42112, 65000}
    assert metadata.notes == ("its georeference is left out, as the picture is turned",)


def test_photoshop_resources_of_a_tiff_hold_iptc():
    resources = jpeg_iptc(IPTC).removeprefix(b"Photoshop 3.0\0")
    file = io.BytesIO()
    tag = (34377, 7, None, b"8BIM\x04\x22\x00\x00\x00\x00\x00\x00" + resources, True)
    tifffile.imwrite(file, noisy(), photometric="rgb", metadata=None, extratags=[tag])
    assert open_image(file.getvalue()).metadata.iptc == IPTC


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_xmp_of_other_programs_and_the_recipe_stand_side_by_side(encoding):
    packet = foreign_xmp(PACKET.decode().encode(encoding))
    both = to_xmp(RECIPE, packet)
    assert from_xmp(both) == RECIPE
    assert foreign_xmp(both) == packet
    assert both.count(b"uuid:7") == 2  # both about the same thing
    assert foreign_xmp(to_xmp(RECIPE)) is None


def test_orientation_is_reset_in_every_form():
    start = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF {RDF}><rdf:Description xmlns:tiff='t'"
    end = "</rdf:RDF></x:xmpmeta>"
    attribute = f"{start} tiff:Orientation='6'/>{end}"
    element = f"{start}><tiff:Orientation>6</tiff:Orientation></rdf:Description>{end}"
    for packet in (attribute, element):
        assert without_pixel_facts(foreign_xmp(packet)) == packet.replace("6", "1")


@pytest.mark.parametrize(
    "packet",
    [
        b"<x:xmpmeta/>",
        PACKET[:-20],
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + PACKET,
        b"\xff" + PACKET,
        PACKET + b" " * 1_000_001,
    ],
)
def test_xmp_that_cannot_be_read_is_left_out_with_a_word(packet):
    file = io.BytesIO()
    Image.fromarray(noisy()).save(file, "WEBP", xmp=packet)
    metadata = open_image(file.getvalue()).metadata
    assert metadata.xmp is None
    (note,) = metadata.notes
    assert note.startswith("its XMP is")
    assert note.endswith("left out")


def test_metadata_too_long_for_a_jpeg_is_named():
    image = open_image(file_with_metadata("TIFF"))
    long = PACKET.replace(b"Ann", b"Ann" * 30_000).decode()
    records = IPTC[:5] + IPTC[5:8] * 30_000
    metadata = type(image.metadata)(xmp=long, iptc=records)
    assert metadata_left_out(metadata, "jpeg", image.size, recipe=RECIPE) == (
        "its XMP, which is too long",
        "its IPTC records, which are too long",
    )
    assert read_recipe(encode(image.pixels, "jpeg", metadata=metadata, recipe=RECIPE)) == RECIPE


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_stack_keeps_its_xmp_and_gets_the_recipe(compression, tmp_path):
    values = np.random.default_rng(1).integers(0, 255, (3, 8, 9)).astype(np.uint8)
    tag = (700, 1, None, PACKET, True)
    options = {"photometric": "minisblack", "compression": compression, "extratags": [tag]}
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    stack = open_input(tmp_path / "a.tif")
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(tmp_path / "b.tif", stack, planes, recipe=RECIPE)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        packet = file.pages[0].tags[700].value
    assert from_xmp(packet) == RECIPE
    assert foreign_xmp(packet) == PACKET.decode()
