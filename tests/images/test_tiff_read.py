"""TIFFs of measured data: read as they say, or refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from stack_makers import KINDS, TAIL, copy_planes, random_data, read_tags, write_pages, write_tiff

from impasto import ImageError
from impasto.images.stack import TYPES
from impasto.images.tiff_read import is_scientific_tiff, open_stack


def refused(path, **options) -> str:
    with pytest.raises(ImageError) as caught:
        open_stack(path, name="noisy", **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_thumbnail_is_no_plane(tmp_path):
    values = random_data((3, 40, 40), "uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values, photometric="minisblack", metadata=None)
        writer.write(values[0, ::3, ::3], subfiletype=1, metadata=None)
    assert open_stack(tmp_path / "a.tif").shape == (3, 40, 40)


def test_axes_without_names_may_be_many(tmp_path):
    values = random_data((2, 3, 8, 9), "uint8")
    stack = open_stack(write_tiff(tmp_path / "a.tif", values))
    assert stack.axes == "QQYX"
    assert stack.count == 6
    assert np.array_equal(copy_planes(stack), values)


def test_what_is_no_tiff_is_refused(tmp_path):
    for name, data in {
        "empty.tif": b"",
        "text.tif": b"some words",
        "head.tif": b"II*\0",
        "nothing.tif": b"II*\0\0\0\0\0",
        "far.tif": b"II*\0\xf0\xff\xff\xff",
        "circle.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    }.items():
        (tmp_path / name).write_bytes(data)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    for name, why in {
        "empty.tif": "the file is empty",
        "text.tif": "it is not in a format that impasto knows",
        "head.tif": "the file is cut short",
        "nothing.tif": "it has no pages",
        "far.tif": "the file is cut short",
        "circle.tif": "its pages follow each other in a circle",
        "a.png": "it is PNG",
        "missing.tif": "there is no such file",
        "nul\0.tif": "there is no such file",
        "pipe": "it is a pipe, not a file",
        "": "it is a folder",
    }.items():
        path = f"{tmp_path}/{name}" if name else str(tmp_path)
        assert refused(path) == f"`noisy` must be a readable TIFF, got {path}: {why}; {TAIL}"


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", [*KINDS, "pages"])
def test_no_beginning_of_a_file_is_taken_for_the_whole(kind, compression, tmp_path):
    values = random_data((4, 2, 12, 12), "uint8")
    if kind == "pages":
        path = write_pages(tmp_path / "a.tif", values[:, 0], compression=compression)
    else:
        path = write_tiff(tmp_path / "a.tif", values, compression=compression, **KINDS[kind])
    whole, cut, accepted = path.read_bytes(), tmp_path / "cut.tif", 0
    count = 4 if kind == "pages" else 8
    for length in [*range(0, len(whole), 37), *range(len(whole) - 20, len(whole))]:
        cut.write_bytes(whole[:length])
        try:
            stack = open_stack(cut, name="noisy")
        except ImageError:
            assert refused(cut).endswith(TAIL)
            continue
        accepted += 1  # of the last bytes, nothing may be of any use
        assert stack.axes == open_stack(path).axes
        assert np.array_equal(copy_planes(stack).ravel(), tifffile.imread(path).ravel())
        assert [read_tags(cut, at) for at in range(count)] == [
            read_tags(path, at) for at in range(count)
        ]
    assert accepted <= 20


def test_broken_pixels_are_found_before_the_work(tmp_path):
    path = write_tiff(tmp_path / "a.tif", random_data((3, 30, 30), "uint8"), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[2].dataoffsets[0]
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    assert refused(path) == (
        f"`noisy` must be a readable TIFF, got {path}: its pixels are cut short or broken; {TAIL}"
    )


def test_a_file_that_shrinks_after_it_was_opened_is_refused(tmp_path):
    path = write_tiff(tmp_path / "a.tif", random_data((3, 30, 30), "uint8"))
    stack = open_stack(path, name="noisy")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImageError, match="its pixels are cut short or broken"):
        stack.read_plane((2,))


def test_claims_beyond_reason_are_refused_without_decoding(tmp_path):
    path = write_tiff(tmp_path / "a.tif", random_data((30, 30), "uint8"), compression="zlib")
    for side in (256, 257):
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags[side].overwrite(60000)
    assert "60,000 × 60,000 pixels, more than the limit" in refused(path)
    path = write_tiff(
        tmp_path / "b.tif", random_data((30, 30), "uint8"), tile=(16, 16), compression="zlib"
    )
    for side in (322, 323):
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags[side].overwrite(65536)
    assert "its tiles are far larger than its pages" in refused(path)


def test_values_that_are_not_finite_are_counted(tmp_path):
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3], values[2, 0, 0] = np.nan, np.inf
    for compression in (None, "zlib"):
        path = write_tiff(tmp_path / "a.tif", values, compression=compression)
        assert refused(path) == (
            f"`noisy` must be finite, got {path} with 2 of 60 values that are NaN or infinite; "
            "replace them"
        )


def test_files_of_other_numbers_and_mixtures_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    write_tiff(path, np.zeros((4, 5), np.complex64))
    assert refused(path) == (
        f"`noisy` must be a readable TIFF, got {path}: its numbers are complex64; convert them to "
        f"{', '.join(TYPES)}"
    )
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((4, 5), np.uint8), metadata=None)
        writer.write(np.zeros((6, 7), np.uint8), metadata=None)
    assert refused(path) == (
        f"`noisy` must be a readable TIFF, got {path}: it holds 2 pictures of different sizes or "
        "kinds; save each in a file of its own"
    )


def test_planes_in_other_files_are_refused(tmp_path):
    values = random_data((2, 8, 9), "uint8")
    names, ids = ("a.ome.tif", "b.ome.tif"), ("urn:uuid:1", "urn:uuid:2")
    places = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{names[z]}">{ids[z]}</UUID>'
        "</TiffData>"
        for z in (0, 1)
    )
    for name, uuid, page in zip(names, ids, values, strict=True):
        description = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            'Type="uint8" SizeX="9" SizeY="8" SizeZ="2" SizeC="1" SizeT="1">'
            f"{places}</Pixels></Image></OME>"
        )
        write_tiff(tmp_path / name, page, metadata=None, description=description)
    path = tmp_path / "a.ome.tif"
    expected = (
        f"`noisy` must be a readable TIFF, got {path}: 1 of its planes are not in it but in other "
        "files; save them in one file"
    )
    assert refused(path) == expected
    (tmp_path / "b.ome.tif").unlink()
    assert refused(path) == expected


@pytest.mark.parametrize(
    ("measured_data", "shape", "dtype", "options"),
    [
        (False, (8, 9, 3), "uint8", {"photometric": "rgb"}),
        (False, (8, 9, 3), "uint16", {"photometric": "rgb"}),
        (False, (8, 9, 4), "uint8", {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        (False, (8, 9, 4), "uint8", {"photometric": "separated"}),
        (False, (8, 9), "uint8", {}),
        (False, (8, 9, 2), "uint8", {"planarconfig": "contig", "extrasamples": ["unassalpha"]}),
        (False, (8, 9), "uint16", {"iccprofile": b"profile!"}),
        (False, (8, 9), "float32", {"iccprofile": b"profile!"}),
        (True, (8, 9), "uint16", {}),
        (True, (8, 9, 2), "uint16", {"planarconfig": "contig", "extrasamples": ["unassalpha"]}),
        (True, (8, 9), "float32", {}),
        (True, (8, 9), "int16", {}),
        (True, (8, 9), "uint32", {}),
        (True, (8, 9, 2), "uint8", {"planarconfig": "contig"}),
        (True, (8, 9, 5), "uint8", {"planarconfig": "contig"}),
        (True, (3, 8, 9), "uint8", {}),
        (True, (3, 8, 9), "uint8", {"iccprofile": b"profile!"}),
        (True, (8, 9), "uint8", {"imagej": True}),
        (True, (8, 9), "uint8", {"ome": True}),
        (True, (8, 9, 3), "uint8", {"imagej": True, "photometric": "rgb"}),
    ],
)
def test_what_is_data_and_what_is_a_picture(measured_data, shape, dtype, options, tmp_path):
    whole = "imagej" in options or "ome" in options
    options = options if whole else {"metadata": None, **options}
    path = write_tiff(tmp_path / "a.tif", random_data(shape, dtype), **options)
    assert is_scientific_tiff(path) is measured_data


def test_other_files_and_broken_ones_are_no_data(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08\0")
    for name in ("a.png", "cut.tif", "missing.tif", ""):
        assert is_scientific_tiff(tmp_path / name) is False
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(random_data((40, 40, 3), "uint8"), metadata=None, photometric="rgb")
        writer.write(random_data((8, 8, 3), "uint8"), subfiletype=1, photometric="rgb")
    assert is_scientific_tiff(tmp_path / "a.tif") is False
