"""TIFFs of measured data: read as they say, or refused."""

from __future__ import annotations

import io
import os
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image
from stack_makers import KINDS, TAIL, copy_planes, random_data, read_tags, write_pages, write_tiff

from impasto import ImageError
from impasto.images.open_input import identify_input, open_input
from impasto.images.read import describe_image, open_image, read_recipe
from impasto.images.stack import TYPES, Stack
from impasto.images.tiff_read import is_scientific_tiff, open_stack
from impasto.images.tiff_write import write_stack


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
        shown = path.replace("\0", "\\x00")
        assert refused(path) == f"`noisy` must be a readable TIFF, got {shown}: {why}; {TAIL}"


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
    with pytest.raises(ImageError, match="it was changed while it was worked on"):
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


UNNAMED = {
    "gray": ((12, 9, 4), {"photometric": "minisblack", "planarconfig": "contig"}),
    "gray, three": ((12, 9, 3), {"photometric": "minisblack", "planarconfig": "contig"}),
    "gray, planar": ((4, 12, 9), {"photometric": "minisblack", "planarconfig": "separate"}),
    "gray, white is 0": ((12, 9, 3), {"photometric": "miniswhite", "planarconfig": "contig"}),
    "named by axes": ((12, 9, 4), {"planarconfig": "contig", "metadata": {"axes": "YXC"}}),
    "many": ((12, 9, 11), {"photometric": "minisblack", "planarconfig": "contig"}),
    "RGB + 1": ((12, 9, 4), {"photometric": "rgb", "extrasamples": [0]}),
    "RGB + 1, deflated": (
        (12, 9, 4),
        {"photometric": "rgb", "extrasamples": [0], "compression": "zlib"},
    ),
    "RGB + 1, planar": (
        (4, 12, 9),
        {"photometric": "rgb", "planarconfig": "separate", "extrasamples": [0]},
    ),
    "RGB + 1, profile": (
        (12, 9, 4),
        {"photometric": "rgb", "extrasamples": [0], "iccprofile": b"profile!"},
    ),
    "RGBA + 1": ((12, 9, 5), {"photometric": "rgb", "extrasamples": [2, 0]}),
    "CMYK + 1": ((12, 9, 5), {"photometric": "separated", "extrasamples": [0]}),
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", UNNAMED)
def test_no_channel_of_a_page_is_lost(kind, dtype, tmp_path):
    shape, options = UNNAMED[kind]
    values = random_data(shape, dtype)
    path = write_tiff(tmp_path / "a.tif", values, **({"metadata": None} | options))
    count = max(set(shape) - {12, 9})
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        stack = open_input(source)
        assert isinstance(stack, Stack)
        assert stack.plane_shape == (count, 12, 9)
        assert np.array_equal(copy_planes(stack), values)
    assert bool(stack.notes) is not kind.startswith(("gray", "named", "many"))
    write_stack(tmp_path / "b.tif", stack, [stack.read_plane(())])
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    assert is_scientific_tiff(tmp_path / "b.tif")


def test_a_picture_says_which_channels_it_leaves_out(tmp_path):
    values = random_data((12, 9, 5), "uint8")
    options = {"photometric": "rgb", "extrasamples": [2, 0], "metadata": None}
    image = open_image(write_tiff(tmp_path / "a.tif", values, **options))
    assert np.array_equal((image.pixels * 255).round().permute(1, 2, 0), values[..., :3])
    assert image.metadata.notes == (
        "1 of its 5 channels left out, as it calls only 4 color or opacity",
    )
    assert describe_image(tmp_path / "a.tif")["mode"] == "RGBA+1"
    path = write_tiff(tmp_path / "b.tif", values[..., :4], planarconfig="contig", metadata=None)
    with pytest.raises(ImageError, match="4 channels, and all it says of them is that one is gray"):
        open_image(path)


def test_a_stack_may_come_as_bytes(tmp_path):
    for options in ({}, {"compression": "zlib"}, {"imagej": True}):
        values = random_data((3, 12, 9), "uint16")
        path = write_tiff(tmp_path / "a.tif", values, **options)
        stack = open_input(path.read_bytes())
        assert stack.axes == open_stack(path).axes
        assert np.array_equal(copy_planes(stack), values)
        assert identify_input(stack).sha256 == identify_input(open_stack(path)).sha256
        with open(path, "rb") as file:
            assert identify_input(open_input(file)).name == "a.tif"
        planes = (stack.read_plane(index) for index in stack.plane_indices())
        write_stack(tmp_path / "b.tif", stack, planes, overwrite=True)
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)


SMALL, LARGE = {"subfiletype": 1}, {"subfiletype": 0}
OLD = [{"extratags": [(255, 3, 1, kind, True)]} for kind in (2, 1)]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        [SMALL | {"subifds": 1}, LARGE],
        [SMALL | {"subifds": 2}, SMALL, LARGE | {"compression": "zlib"}],
        [SMALL | {"subifds": 1}, {"compression": "jpeg"}],
        [SMALL, LARGE],
        OLD,
        [{}, {}],
        [{"subifds": 1}, {}],
    ],
)
def test_a_preview_is_not_taken_for_the_image(options, big, tmp_path):
    image = np.kron(random_data((5, 7, 3), "uint8"), np.ones((16, 16, 1), np.uint8))
    preview = 255 - image[::4, ::4]
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=big) as writer:
        for number, page_options in enumerate(options, 1):
            values = image if number == len(options) else preview
            writer.write(values, **({"photometric": "rgb", "metadata": None} | page_options))
    pixels = open_image(tmp_path / "a.tif").pixels
    assert np.abs((pixels * 255).permute(1, 2, 0).numpy() - image).mean() < 10
    assert describe_image(tmp_path / "a.tif")["size"] == [112, 80]
    marked = options[0] not in ({}, {"subifds": 1})
    if marked:
        assert open_input(tmp_path / "a.tif").size == (112, 80)
    else:  # denoised would be either or both
        (note,) = open_image(tmp_path / "a.tif").metadata.notes
        assert note == "its first page taken for a preview of the larger one, and left out"
        assert "2 pictures of different sizes" in refused(tmp_path / "a.tif")


def test_data_behind_a_preview_is_denoised_and_the_preview_left_out(tmp_path):
    values, preview = random_data((40, 60), "uint16"), random_data((10, 15, 3), "uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        options = {"photometric": "rgb", "metadata": None, "subifds": 1, "subfiletype": 1}
        writer.write(preview, **options)
        writer.write(values, photometric="minisblack", metadata=None)
    stack = open_input(tmp_path / "a.tif")
    assert np.array_equal(copy_planes(stack), values)
    write_stack(tmp_path / "b.tif", stack, [stack.read_plane(())])
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [page.shape for page in file.pages] == [(40, 60)]
        assert not file.pages[0].subifds
        assert np.array_equal(file.asarray(), values)


@pytest.mark.parametrize("photometric", [32803, 34892])
@pytest.mark.parametrize("first", [False, True])
def test_raw_data_of_a_camera_is_refused_by_name(photometric, first, tmp_path):
    pattern = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]
    shape = (40, 60) if photometric == 32803 else (40, 60, 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        if not first:
            preview = random_data((10, 15, 3), "uint8")
            options = {"photometric": "rgb", "metadata": None, "subifds": 1, "subfiletype": 1}
            writer.write(preview, **options)
        raw = {"photometric": photometric, "metadata": None, "extratags": pattern}
        writer.write(random_data(shape, "uint16"), **raw)
    for read in (open_image, open_input, open_stack, describe_image):
        with pytest.raises(ImageError, match="it is a camera's raw data; develop it first"):
            read(tmp_path / "a.tif")


def palette_tiff(bits: int, pages: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """A TIFF of index numbers (H, W), each page with colors of its own, (3, 2**bits) uint8."""
    data = bytearray(b"II*\0\x08\0\0\0")
    for number, (indices, colors) in enumerate(pages, 1):
        height, width = indices.shape
        digits = np.unpackbits(indices.astype(">u2")[..., None].view("u1"), axis=-1)
        rows = np.packbits(digits[..., 16 - bits :].reshape(height, -1), axis=1)
        pixels = indices.astype("<u2").tobytes() if bits == 16 else rows.tobytes()
        start = len(data) + 2 + 10 * 12 + 4
        tags = {256: width, 257: height, 258: bits, 259: 1, 262: 3, 273: start, 277: 1, 278: height}
        data += struct.pack("<H", 10)
        for tag, value in {**tags, 279: len(pixels)}.items():
            data += struct.pack("<HHII", tag, 4, 1, value)
        data += struct.pack("<HHII", 320, 3, colors.size, start + len(pixels))
        end = start + len(pixels) + 2 * colors.size
        data += struct.pack("<I", end if number < len(pages) else 0)
        data += pixels + (colors.astype("<u2") * 257).tobytes()
    return bytes(data)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_numbers_of_a_palette_are_read_as_its_colors(bits, tmp_path):
    rng = np.random.default_rng(bits)
    pages = [
        (rng.integers(0, 2**bits, (12, 16)), rng.integers(0, 256, (3, 2**bits))) for _ in range(2)
    ]
    colors = np.stack([table[:, indices].transpose(1, 2, 0) for indices, table in pages])
    one, two = tmp_path / "one.tif", tmp_path / "two.tif"
    one.write_bytes(palette_tiff(bits, pages[:1]))
    two.write_bytes(palette_tiff(bits, pages))
    pixels = open_input(one).pixels
    assert np.array_equal((pixels * 255).round().permute(1, 2, 0), colors[0])
    stack = open_input(two)
    assert stack.axes == "IYXS"
    assert np.array_equal(copy_planes(stack), colors)
    assert stack.notes == ("the colors of its palette are worked on, and written as RGB",)
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(tmp_path / "b.tif", stack, planes, recipe="{}")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert np.array_equal(file.asarray(), colors)
        assert [page.photometric for page in file.pages] == [2, 2]
        assert not any(320 in page.tags for page in file.pages)
    assert read_recipe(tmp_path / "b.tif") == "{}"
    assert open_image(two).metadata.notes == ("1 of its 2 pages taken, the others left out",)


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
    'Type="uint8" SizeX="9" SizeY="8" SizeZ="3" SizeC="1" SizeT="1">{}</Pixels></Image></OME>'
)


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ('<TiffData FirstZ="0" IFD="0" PlaneCount="1"/>', "2 of its 3 planes were never written"),
        ("<TiffData/>", "1 of its 3 planes were never written"),
        (
            '<TiffData PlaneCount="2"><UUID FileName="moved.tif">urn:uuid:1</UUID></TiffData>',
            "1 of its 3 planes were never written",
        ),
        (
            '<TiffData PlaneCount="2"/><TiffData FirstZ="2" PlaneCount="1">'
            '<UUID FileName="b.ome.tif">urn:uuid:2</UUID></TiffData>',
            "1 of its planes are not in it but in other files",
        ),
    ],
)
def test_planes_that_are_missing_are_told_by_the_true_reason(places, why, tmp_path):
    values = random_data((2, 8, 9), "uint8")
    options = {"metadata": None, "description": OME.format(places)}
    assert why in refused(write_tiff(tmp_path / "a.ome.tif", values, **options))


def test_scenes_of_one_size_are_not_told_as_different(tmp_path):
    for shapes, why in (
        ([(2, 8, 9)] * 2, "it holds 2 images, such as scenes, of one size;"),
        ([(2, 8, 9), (2, 8, 8)], "it holds 2 pictures of different sizes or kinds;"),
    ):
        with tifffile.TiffWriter(tmp_path / "a.tif", ome=True) as writer:
            for shape in shapes:
                writer.write(random_data(shape, "uint8"), photometric="minisblack")
        assert why in refused(tmp_path / "a.tif")


@pytest.mark.parametrize(("shape", "page"), [((5, 1, 1), "1 × 5"), ((2, 3, 1, 1), "1 × 3")])
def test_an_imagej_description_of_other_planes_is_named(shape, page, tmp_path):
    # As tifffile writes planes that are one pixel wide: those of a page side by side.
    options = {"imagej": True, "metadata": {"axes": "TCYX" if len(shape) == 4 else "TYX"}}
    path = write_tiff(tmp_path / "a.tif", random_data(shape, "uint8"), **options)
    assert f"claims {np.prod(shape)} planes, and it holds" in refused(path)
    assert f"of {page} pixels" in refused(path)
    values = random_data((5, 1, 1), "uint8")
    assert open_stack(write_tiff(tmp_path / "b.tif", values, metadata=None)).count == 5


@pytest.mark.parametrize("number", [0, 9, 99, 34676, 40000])
def test_a_compression_that_is_not_read_is_named(number, tmp_path):
    path = tmp_path / "a.tif"
    for dtype, read in (("uint8", open_image), ("uint16", open_input)):
        write_tiff(path, random_data((8, 9), dtype), metadata=None, compression="zlib")
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags[259].overwrite(number)
        with pytest.raises(ImageError, match=r"its compression is .*, which impasto does not read"):
            read(path)
