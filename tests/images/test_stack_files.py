"""TIFFs of measured data: read as they say, written back like they were, or refused."""

from __future__ import annotations

import gc
import itertools
import os
import struct
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from test_stack import EXACT, measured, returned

from impasto import ImageError
from impasto.files import stale_temporary_files
from impasto.images import tiff_write
from impasto.images.stack import TYPES, array_stack
from impasto.images.tiff_read import is_scientific_tiff, open_stack
from impasto.images.tiff_write import write_stack
from impasto.images.xmp import from_xmp, to_xmp

RECIPE = '{"kind": "denoise", "strength": 0.5}'
STRUCTURE = {256, 257, 258, 259, 262, 266, 277, 284, 317, 322, 323, 338, 339}


def tiff(path: Path, data: np.ndarray, **options) -> Path:
    """A file as tifffile writes it; `order`, `imagej`, `ome` and `bigtiff` are the writer's."""
    whole = {key: options.pop(key) for key in ("imagej", "ome", "bigtiff") if key in options}
    order = options.pop("order", "<")
    options.setdefault("photometric", "minisblack")
    with tifffile.TiffWriter(path, byteorder=order, **whole) as writer:
        writer.write(data, **options)
    return path


def pages(path: Path, data: np.ndarray, order: str = "<", **options) -> Path:
    """A file whose pages are written one after the other, each behind its directory."""
    with tifffile.TiffWriter(path, byteorder=order) as writer:
        for number, page in enumerate(data):
            note = f"page {number}"
            writer.write(page, metadata=None, description=note, photometric="minisblack", **options)
    return path


def untouched(path: Path, out: Path, **options):
    """A file's stack, written back plane by plane as it was read."""
    stack = open_stack(path)
    write_stack(out, stack, (stack.read_plane(index) for index in stack.plane_indices()), **options)
    return stack


def tags(path: Path, number: int = 0) -> dict[int, object]:
    """A page's tags, less those that tell where its pixels are."""
    with tifffile.TiffFile(path) as file:
        places = {273, 279, 324, 325, 700}
        found = {tag.code: tag.value for tag in file.pages[number].tags if tag.code not in places}
        return {code: np.asarray(value).tolist() for code, value in found.items()}


def refused(path, **options) -> str:
    with pytest.raises(ImageError) as caught:
        open_stack(path, name="noisy", **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


KINDS = {
    "plain": {"metadata": None},
    "shaped": {"metadata": {"axes": "TCYX"}},
    "imagej": {"imagej": True, "metadata": {"axes": "TCYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TCYX", "PhysicalSizeX": 0.5}},
}
PACKED = (None, "zlib", "lzw", "zstd", "packbits", "lzma")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_an_untouched_file_without_packing_is_the_same_file(dtype, kind, order, tmp_path):
    if kind == "imagej" and dtype not in ("uint8", "uint16", "int16", "float32"):
        return  # ImageJ has no such type
    if kind == "ome" and dtype == "float16":
        return  # nor has OME
    values = measured((3, 2, 9, 11), dtype)
    if dtype in ("uint32", "int32", "float64"):  # which come back with 24 bits
        values = (values.astype(float) % 1000).astype(int).astype(dtype)
    path = tiff(tmp_path / "a.tif", values, order=order, **KINDS[kind])
    stack = untouched(path, tmp_path / "b.tif")
    assert stack.axes == ("IYX" if kind == "plain" else "TCYX")
    assert stack.dtype == np.dtype(dtype).newbyteorder(order)
    if dtype == "bool":  # eight to a byte
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), tifffile.imread(path))
    else:
        assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("kind", KINDS)
def test_type_axes_order_and_packing_stay(kind, packed, order, tmp_path):
    values = measured((3, 2, 9, 11), "uint16")
    options = {**KINDS[kind], "compression": packed, "order": order}
    path = tiff(tmp_path / "a.tif", values, **options)
    untouched(path, tmp_path / "b.tif", recipe=RECIPE)
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert np.array_equal(new.asarray(), values.reshape(old.series[0].shape))
        assert new.byteorder == old.byteorder == order
        assert new.series[0].axes == old.series[0].axes
        assert new.series[0].kind == old.series[0].kind
        assert [p.compression for p in new.pages] == [p.compression for p in old.pages]
        assert new.pages[0].tags[700].value == to_xmp(RECIPE)
    for number in range(6):
        assert tags(tmp_path / "b.tif", number) == tags(path, number)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", EXACT)
def test_every_type_is_packed_again(dtype, order, predictor, tmp_path):
    values = measured((3, 40, 33), dtype)
    options = {"compression": "zlib", "predictor": predictor and dtype != "bool"}
    path = tiff(tmp_path / "a.tif", values, order=order, rowsperstrip=16, **options)
    untouched(path, tmp_path / "b.tif")
    assert tifffile.imread(tmp_path / "b.tif").tobytes() == tifffile.imread(path).tobytes()
    assert tags(tmp_path / "b.tif") == tags(path)
    if dtype != "bool":
        assert tags(path).get(317, 1) == (1 if not predictor else 3 if "float" in dtype else 2)


LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "one tile": {"tile": (48, 64)},
    "packed tiles": {"tile": (16, 16), "compression": "zlib", "predictor": True},
    "packed strips": {"rowsperstrip": 5, "compression": "lzw"},
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("samples", ["gray", "RGB", "RGBA", "planes", "five", "volume"])
def test_every_layout_of_pages_is_kept(samples, layout, big, tmp_path):
    shape, options = {
        "gray": ((4, 40, 50), {}),
        "RGB": ((4, 40, 50, 3), {"photometric": "rgb"}),
        "RGBA": ((4, 40, 50, 4), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        "planes": ((4, 3, 40, 50), {"photometric": "rgb", "planarconfig": "separate"}),
        "five": ((4, 40, 50, 5), {"planarconfig": "contig"}),
        "volume": ((6, 40, 50), {"volumetric": True}),
    }[samples]
    if samples == "volume" and "tile" in LAYOUTS[layout]:
        options["tile"] = (2, *LAYOUTS[layout]["tile"])
    values = measured(shape, "uint16")
    path = tiff(tmp_path / "a.tif", values, bigtiff=big, **(LAYOUTS[layout] | options))
    stack = untouched(path, tmp_path / "b.tif", recipe=RECIPE)
    assert stack.count == len(values)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    for number in range(1 if samples == "volume" else 4):
        assert tags(tmp_path / "b.tif", number) == tags(path, number)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_bigtiff == big
        assert from_xmp(file.pages[0].tags[700].value) == RECIPE


@pytest.mark.parametrize("packed", [None, "zlib"])
def test_pages_apart_from_each_other_keep_their_own_words(packed, tmp_path):
    values = measured((5, 20, 30), "float32")
    path = pages(tmp_path / "a.tif", values, compression=packed, rowsperstrip=6, datetime=True)
    stack = untouched(path, tmp_path / "b.tif", recipe=RECIPE)
    assert stack.axes == "IYX"
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    for number in range(5):
        assert tags(tmp_path / "b.tif", number) == tags(path, number)
        assert tags(path, number)[270] == f"page {number}"


def test_the_words_of_imagej_are_kept_beside_other_pixels(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    metadata = {
        "axes": "ZCYX",
        "Ranges": (0.0, 900.0, 10.0, 4000.0),
        "LUTs": [np.stack([ramp, 0 * ramp, ramp]), np.stack([0 * ramp, ramp, ramp])],
        "Labels": [f"plane {number}" for number in range(6)],
        "Info": "exposure: 20 ms",
        "spacing": 0.7,
        "unit": "um",
    }
    options = {"resolution": (9.25, 9.5), "resolutionunit": "none", "metadata": metadata}
    values = measured((3, 2, 20, 30), "uint16") // 16
    path = tiff(tmp_path / "a.tif", values, imagej=True, order=">", **options)
    stack = open_stack(path)
    third = (stack.read_plane(index) / 3 for index in stack.plane_indices())
    write_stack(tmp_path / "b.tif", stack, third, recipe=RECIPE)
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert np.array_equal(new.asarray(), np.rint(values / 3))
        before, after = old.imagej_metadata, new.imagej_metadata
        for key in ("Ranges", "Labels", "Info", "spacing", "unit", "slices", "channels"):
            assert after[key] == before[key]
        assert np.array_equal(after["LUTs"], before["LUTs"])
        assert new.pages[0].get_resolution() == (9.25, 9.5)
        assert new.series[0].axes == "ZCYX"
        assert new.series[0].dataoffset == old.series[0].dataoffset


@pytest.mark.parametrize("packed", [None, "zlib"])
@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "CZTYX", "ZCTYX"])
def test_ome_keeps_its_description_and_the_order_of_its_pages(axes, packed, tmp_path):
    sizes = {"T": 2, "Z": 4, "C": 3, "Y": 8, "X": 9}
    values = measured(tuple(sizes[axis] for axis in axes), "int16")
    metadata = {"axes": axes, "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"}
    metadata["Channel"] = {"Name": ["DAPI", "GFP", "RFP"]}
    path = tiff(tmp_path / "a.ome.tif", values, ome=True, metadata=metadata, compression=packed)
    stack = open_stack(path)
    assert stack.axes == axes
    assert stack.plane_shape == (3, 8, 9)
    untouched(path, tmp_path / "b.ome.tif", recipe=RECIPE)
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(tmp_path / "b.ome.tif") as new:
        assert new.ome_metadata == old.ome_metadata
        assert "µm" in new.ome_metadata
        assert np.array_equal(new.asarray(), values)
        assert [int(page.asarray().flat[5]) for page in new.pages] == [
            int(page.asarray().flat[5]) for page in old.pages
        ]


def test_the_resolution_color_profile_and_other_tags_of_a_picture_are_kept(tmp_path):
    extra = [(315, 2, 0, "Ada", True), (65000, 12, 3, (1.5, 2.5, 3.5), True)]
    options = {"resolution": ((1234567, 1000), (300, 7)), "resolutionunit": "centimeter"}
    options |= {"description": "two cells", "iccprofile": b"profile!", "extratags": extra}
    for packed in (None, "zlib"):
        path = tiff(
            tmp_path / f"{packed}.tif",
            measured((20, 30, 3), "uint8"),
            photometric="rgb",
            metadata=None,
            compression=packed,
            software="microscope",
            datetime="2026:01:02 03:04:05",
            **options,
        )
        untouched(path, tmp_path / f"{packed} b.tif", recipe=RECIPE)
        found = tags(tmp_path / f"{packed} b.tif")
        assert found == tags(path)
        assert found[65000] == [1.5, 2.5, 3.5]
        assert found[305] == "microscope"


def test_colors_of_a_palette_stay_with_their_numbers(tmp_path):
    colors = np.random.default_rng(1).integers(0, 65535, (3, 256)).astype(np.uint16)
    for packed in (None, "zlib"):
        path = tmp_path / f"{packed}.tif"
        values = measured((20, 30), "uint8")
        tiff(path, values, photometric="palette", colormap=colors, compression=packed)
        stack = untouched(path, tmp_path / "b.tif", overwrite=True)
        assert stack.plane_shape == (1, 20, 30)
        assert tags(tmp_path / "b.tif") == tags(path)
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)


def test_what_was_packed_with_loss_is_deflated(tmp_path):
    values = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    path = tiff(tmp_path / "a.tif", values, photometric="rgb", compression="jpeg")
    stack = untouched(path, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].compression == 8
        assert file.pages[0].photometric == 2
        assert np.array_equal(file.asarray(), returned(stack))
        assert np.array_equal(file.asarray(), tifffile.imread(path))


def test_numbers_of_twelve_bits_stay_in_twelve_bits(tmp_path):
    values = measured((2, 16, 16), "uint16") // 16
    loose = tiff(tmp_path / "a.tif", values)
    packed = pages(tmp_path / "b.tif", values // 8, bitspersample=12)
    for path, expected in ((loose, values), (packed, values // 8)):
        stack = open_stack(path)
        assert stack.ceiling == 4095
        bright = (stack.read_plane(index) * 100 for index in stack.plane_indices())
        write_stack(tmp_path / "c.tif", stack, bright, overwrite=True)
        found = tifffile.imread(tmp_path / "c.tif")
        assert np.array_equal(found, (expected.astype(int) * 100).clip(0, 4095))
        assert tags(tmp_path / "c.tif")[258] == tags(path)[258]


@pytest.mark.parametrize("shape", [(64, 64), (3, 64, 64), (4, 4, 4)])
@pytest.mark.parametrize("packed", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_smaller_copies_of_the_pages_are_left_out(tile, packed, shape, tmp_path):
    values = measured(shape, "uint16")
    layout = {"tile": tile, "compression": packed, "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values, subifds=1, **layout)
        writer.write(values[..., ::2, ::2], subfiletype=1, **layout)
    assert open_stack(tmp_path / "a.tif").data.series.is_pyramidal
    untouched(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert np.array_equal(file.asarray(), values)
        assert not file.series[0].is_pyramidal
        assert 330 not in file.pages[0].tags


def test_a_thumbnail_is_no_plane(tmp_path):
    values = measured((3, 40, 40), "uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values, photometric="minisblack", metadata=None)
        writer.write(values[0, ::3, ::3], subfiletype=1, metadata=None)
    assert open_stack(tmp_path / "a.tif").shape == (3, 40, 40)


@pytest.mark.parametrize("packed", [None, "zlib"])
def test_planes_are_taken_one_at_a_time(packed, tmp_path):
    path = tiff(
        tmp_path / "a.ome.tif",
        measured((2, 9, 8, 8), "uint8"),
        ome=True,
        metadata={"axes": "CZYX"},
        compression=packed,
    )
    stack, given = open_stack(path), []

    def results():
        for index in stack.plane_indices():
            gc.collect()
            assert sum(one() is not None for one in given[:-1]) == 0
            plane = stack.read_plane(index)
            given.append(weakref.ref(plane))
            yield plane
            del plane

    write_stack(tmp_path / "b.tif", stack, results())
    assert len(given) == 9


def test_nothing_is_taken_where_nothing_can_be_written(tmp_path):
    stack = open_stack(tiff(tmp_path / "a.tif", measured((3, 8, 8), "uint8")))
    planes = (pytest.fail("a plane was taken") for _ in range(3))
    for place in ("a.tif", "missing/b.tif"):
        with pytest.raises(ImageError):
            write_stack(tmp_path / place, stack, planes, overwrite=True)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["array", "plain", "packed"])
def test_an_interrupted_run_leaves_nothing_behind(kind, error, tmp_path):
    values = measured((4, 9, 9), "uint16")
    path = tiff(tmp_path / "a.tif", values, compression="zlib" if kind == "packed" else None)
    stack = array_stack(values, axes="ZYX") if kind == "array" else open_stack(path)

    def results():
        yield stack.read_plane((0,))
        yield stack.read_plane((1,))
        raise error

    with pytest.raises(error):
        write_stack(tmp_path / "b.tif", stack, results())
    (tmp_path / "c.tif").write_bytes(b"before")
    with pytest.raises(error):
        write_stack(tmp_path / "c.tif", stack, results(), overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "c.tif"]
    assert (tmp_path / "c.tif").read_bytes() == b"before"


@pytest.mark.parametrize("kind", ["array", "plain", "packed"])
def test_all_that_a_killed_run_leaves_is_a_stale_temporary_file(kind, tmp_path):
    values = measured((4, 9, 9), "uint16")
    path = tiff(tmp_path / "a.tif", values, compression="zlib" if kind == "packed" else None)
    stack = array_stack(values, axes="ZYX") if kind == "array" else open_stack(path)
    maps = Path("/proc/self/maps")

    def results():
        for index in stack.plane_indices():
            stale = [file.name for file in stale_temporary_files(tmp_path, "")]
            assert sorted(os.listdir(tmp_path)) == sorted(["a.tif", *stale])
            # Between two planes nothing of the results counts as memory.
            assert not maps.exists() or str(tmp_path) not in maps.read_text()
            yield stack.read_plane(index)

    write_stack(tmp_path / "b.tif", stack, results())
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "b.tif"]
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)


@pytest.mark.parametrize("room", [1000, 80_000, 80_200])
@pytest.mark.parametrize("kind", ["array", "bool", "plain", "tiles", "packed"])
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(kind, room, tmp_path):
    resource = pytest.importorskip("resource")
    values = measured((4, 100, 100), "uint16")
    if kind == "bool":
        values = np.concatenate([values < 30_000] * 2)
    options = {"tiles": {"tile": (16, 16)}, "packed": {"compression": "zlib"}}.get(kind, {})
    path = tiff(tmp_path / "a.tif", values, **options)
    stack = array_stack(values, axes="ZYX") if kind in ("array", "bool") else open_stack(path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        if kind == "bool" and room > 1000:  # of which the file is an eighth
            write_stack(tmp_path / "b.tif", stack, map(stack.read_plane, stack.plane_indices()))
            return
        with pytest.raises(ImageError) as caught:
            write_stack(tmp_path / "b.tif", stack, map(stack.read_plane, stack.plane_indices()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert str(caught.value) == (
        f"`output` must be a place that can be written, got {tmp_path / 'b.tif'}: file too large; "
        "choose another"
    )
    assert os.listdir(tmp_path) == ["a.tif"]


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (2, "`planes` must be 3, one for each of the stack's, got 2; give them all"),
        (4, "`planes` must be 3, one for each of the stack's, got more; leave the others out"),
    ],
)
def test_there_are_as_many_results_as_planes(count, sentence, tmp_path):
    stack = open_stack(tiff(tmp_path / "a.tif", measured((3, 8, 8), "uint8")))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        write_stack(tmp_path / "b.tif", stack, [torch.zeros(1, 8, 8)] * count)
    assert str(caught.value) == sentence
    assert os.listdir(tmp_path) == ["a.tif"]


def test_no_input_is_ever_written_over(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((3, 8, 8), "uint8"))
    other = tiff(tmp_path / "b.tif", measured((3, 8, 8), "uint8"))
    stack, planes = open_stack(path), [torch.zeros(1, 8, 8)] * 3
    for target in (path, other):
        with pytest.raises(ImageError) as caught:
            write_stack(target, stack, planes, overwrite=True, inputs=[str(other)])
        assert str(caught.value) == (
            f"`output` must not be one of the inputs, got {target}; choose another name"
        )
    with pytest.raises(ImageError, match="which exists"):
        write_stack(other, stack, planes)
    assert write_stack(other, stack, planes, overwrite=True) == other


def test_data_is_written_as_tiff_only(tmp_path):
    stack = array_stack(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        write_stack(tmp_path / "a.png", stack, [])
    assert str(caught.value) == (
        f"`output` must end in .tif or .tiff, got {tmp_path / 'a.png'}; measured data is kept in "
        "TIFF"
    )


def test_pages_that_are_read_but_not_written_are_refused_before_the_work(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((3, 8, 8), "uint8"), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags[262].overwrite(5)  # four inks, of one channel
    stack = open_stack(path)
    planes = (pytest.fail("a plane was taken") for _ in range(3))
    with pytest.raises(ImageError) as caught:
        write_stack(tmp_path / "b.tif", stack, planes)
    assert str(caught.value) == (
        f"`picture` must be a readable TIFF, got {path}: impasto cannot write its SEPARATED pages "
        "again; save it without compression"
    )
    assert os.listdir(tmp_path) == ["a.tif"]


def test_broken_tags_of_a_page_are_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((3, 8, 8), "uint8"), compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[2].tags[257].offset
    data = bytearray(path.read_bytes())
    data[place + 4 : place + 8] = (2).to_bytes(4, "little")  # two heights
    path.write_bytes(data)
    stack = open_stack(path)
    with pytest.raises(ImageError) as caught:
        write_stack(tmp_path / "b.tif", stack, map(stack.read_plane, stack.plane_indices()))
    assert str(caught.value) == (
        f"`picture` must be a readable TIFF, got {path}: the tags of its page 3 are broken; {TAIL}"
    )
    assert os.listdir(tmp_path) == ["a.tif"]


def test_a_file_that_was_changed_is_not_taken_for_the_one_opened(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((3, 8, 8), "uint8"))
    stack = open_stack(path)
    tiff(path, measured((3, 9, 9), "uint8"))
    with pytest.raises(ImageError) as caught:
        write_stack(tmp_path / "b.tif", stack, [torch.zeros(1, 8, 8)] * 3)
    assert str(caught.value) == (
        f"`picture` must be a readable TIFF, got {path}: it was changed while it was worked on; "
        "give a TIFF file"
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 4), "YX"),
        ((1, 1), "YX"),
        ((2, 3, 4), "ZYX"),
        ((7, 2, 6, 3), "TCYX"),
        ((4, 5, 3), "YXC"),
        ((4, 5, 1), "YXC"),
        ((2, 4, 5, 7), "ZYXC"),
        ((4, 3, 5), "YZX"),
        ((3, 1, 2, 4, 1), "TZCYX"),
    ],
)
def test_an_array_becomes_a_file_with_its_axes(shape, axes, dtype, order, tmp_path):
    values = measured((max(2, int(np.prod(shape))),), dtype)[: int(np.prod(shape))].reshape(shape)
    values = values.astype(values.dtype.newbyteorder(order))
    stack = array_stack(values, axes=axes)
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(tmp_path / "a.tif", stack, planes, recipe=RECIPE)
    again = open_stack(tmp_path / "a.tif")
    assert again.axes == axes
    assert again.shape == shape
    assert again.dtype.newbyteorder("=") == values.dtype.newbyteorder("=")
    assert returned(again).astype(values.dtype).tobytes() == values.tobytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.byteorder == (order if values.dtype.itemsize > 1 else "<")
        assert from_xmp(file.pages[0].tags[700].value) == RECIPE


@pytest.mark.parametrize("packed", [None, "zlib"])
def test_the_words_of_other_programs_stay_in_place_of_the_recipe(packed, tmp_path):
    for number, (xmp, kept) in enumerate([(b"<x:xmpmeta/>", True), (to_xmp('{"a": 1}'), False)]):
        path = tiff(
            tmp_path / f"{number}.tif",
            measured((3, 8, 8), "uint8"),
            compression=packed,
            extratags=[(700, 1, None, xmp, True)],
        )
        untouched(path, tmp_path / f"b{number}.tif", recipe=RECIPE)
        with tifffile.TiffFile(tmp_path / f"b{number}.tif") as file:
            assert file.pages[0].tags[700].value == (xmp if kept else to_xmp(RECIPE))
            assert len(file.pages[0].tags.getall(700)) == 1


def test_what_a_classic_file_cannot_hold_becomes_a_big_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_write, "_CLASSIC_DATA", 100)
    values = measured((3, 8, 8), "uint8")
    path = tiff(tmp_path / "a.tif", values, compression="zlib", resolution=(3.5, 4))
    untouched(path, tmp_path / "b.tif", recipe=RECIPE)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(file.asarray(), values)
    assert tags(tmp_path / "b.tif") == tags(path)
    stack = array_stack(values)
    write_stack(tmp_path / "c.tif", stack, map(stack.read_plane, stack.plane_indices()))
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        assert file.is_bigtiff


def test_a_full_classic_file_goes_without_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_write, "_CLASSIC_END", 1000)
    path = tiff(tmp_path / "a.tif", measured((3, 30, 30), "uint8"))
    untouched(path, tmp_path / "b.tif", recipe=RECIPE)
    assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()


def test_axes_are_named_by_hand(tmp_path):
    values = measured((3, 8, 9), "uint8")
    path = tiff(tmp_path / "a.tif", values, metadata=None)
    stack = open_stack(path, axes="CYX")
    assert stack.plane_shape == (3, 8, 9)
    write_stack(tmp_path / "b.tif", stack, [stack.read_plane(())])
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        open_stack(path, axes="TCYX")
    assert str(caught.value) == (
        "`axes` must be 3 different capital letters with Y and X among them, got 'TCYX'; "
        "name each axis of shape (3, 8, 9), ZYX for example"
    )


def test_axes_named_across_pages_are_gathered(tmp_path):
    values = measured((8, 5, 9), "uint8")
    for packed in (None, "zlib"):
        path = tiff(tmp_path / "a.tif", values, metadata=None, compression=packed)
        stack = open_stack(path, axes="YZX")
        assert stack.count == 5
        planes = (stack.read_plane(index) for index in stack.plane_indices())
        write_stack(tmp_path / "b.tif", stack, planes, overwrite=True)
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    path = tiff(tmp_path / "a.tif", values[..., :3], photometric="rgb", compression="zlib")
    stack = open_stack(path, axes="YXZ")
    assert stack.count == 3
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(tmp_path / "b.tif", stack, planes, overwrite=True)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values[..., :3])


def test_axes_without_names_may_be_many(tmp_path):
    values = measured((2, 3, 8, 9), "uint8")
    stack = open_stack(tiff(tmp_path / "a.tif", values))
    assert stack.axes == "QQYX"
    assert stack.count == 6
    assert np.array_equal(returned(stack), values)


TAIL = "give a TIFF file"


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


@pytest.mark.parametrize("packed", [None, "zlib"])
@pytest.mark.parametrize("kind", [*KINDS, "pages"])
def test_no_beginning_of_a_file_is_taken_for_the_whole(kind, packed, tmp_path):
    values = measured((4, 2, 12, 12), "uint8")
    if kind == "pages":
        path = pages(tmp_path / "a.tif", values[:, 0], compression=packed)
    else:
        path = tiff(tmp_path / "a.tif", values, compression=packed, **KINDS[kind])
    whole, cut, accepted = path.read_bytes(), tmp_path / "cut.tif", 0
    count = 4 if kind == "pages" else 8
    for length in [*range(0, len(whole), 37), *range(len(whole) - 20, len(whole))]:
        cut.write_bytes(whole[:length])
        try:
            found = open_stack(cut, name="noisy")
        except ImageError:
            assert refused(cut).endswith(TAIL)
            continue
        accepted += 1  # of the last bytes, nothing may be of any use
        assert found.axes == open_stack(path).axes
        assert np.array_equal(returned(found).ravel(), tifffile.imread(path).ravel())
        assert [tags(cut, at) for at in range(count)] == [tags(path, at) for at in range(count)]
    assert accepted <= 20


def test_broken_pixels_are_found_before_the_work(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((3, 30, 30), "uint8"), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[2].dataoffsets[0]
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    assert refused(path) == (
        f"`noisy` must be a readable TIFF, got {path}: its pixels are cut short or broken; {TAIL}"
    )


def test_a_file_that_shrinks_after_it_was_opened_is_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((3, 30, 30), "uint8"))
    stack = open_stack(path, name="noisy")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImageError, match="its pixels are cut short or broken"):
        stack.read_plane((2,))


def test_claims_beyond_reason_are_refused_without_decoding(tmp_path):
    path = tiff(tmp_path / "a.tif", measured((30, 30), "uint8"), compression="zlib")
    for side in (256, 257):
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags[side].overwrite(60000)
    assert "60,000 × 60,000 pixels, more than the limit" in refused(path)
    path = tiff(tmp_path / "b.tif", measured((30, 30), "uint8"), tile=(16, 16), compression="zlib")
    for side in (322, 323):
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags[side].overwrite(65536)
    assert "its tiles are far larger than its pages" in refused(path)


def test_values_that_are_not_finite_are_counted(tmp_path):
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3], values[2, 0, 0] = np.nan, np.inf
    for packed in (None, "zlib"):
        path = tiff(tmp_path / "a.tif", values, compression=packed)
        assert refused(path) == (
            f"`noisy` must be finite, got {path} with 2 of 60 values that are NaN or infinite; "
            "replace them"
        )


def test_files_of_other_numbers_and_mixtures_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tiff(path, np.zeros((4, 5), np.complex64))
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
    values = measured((2, 8, 9), "uint8")
    names, ids = ("a.ome.tif", "b.ome.tif"), ("urn:uuid:1", "urn:uuid:2")
    places = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{names[z]}">{ids[z]}</UUID>'
        "</TiffData>"
        for z in (0, 1)
    )
    for name, one, page in zip(names, ids, values, strict=True):
        words = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{one}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            'Type="uint8" SizeX="9" SizeY="8" SizeZ="2" SizeC="1" SizeT="1">'
            f"{places}</Pixels></Image></OME>"
        )
        tiff(tmp_path / name, page, metadata=None, description=words)
    path = tmp_path / "a.ome.tif"
    expected = (
        f"`noisy` must be a readable TIFF, got {path}: 1 of its planes are not in it but in other "
        "files; save them in one file"
    )
    assert refused(path) == expected
    (tmp_path / "b.ome.tif").unlink()
    assert refused(path) == expected


def test_an_imagej_stack_of_one_directory_is_read_and_written(tmp_path):
    values = measured((6, 20, 30), "uint16")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, imagej=True, truncate=True, metadata={"axes": "TYX"})
    stack = untouched(path, tmp_path / "b.tif")
    assert stack.axes == "TYX"
    assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()


def test_numbers_are_read_in_the_order_of_the_axes_not_of_the_pages(tmp_path):
    path = tmp_path / "a.tif"
    values = measured((6, 8, 9), "uint8")
    words = "ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\nhyperstack=true\norder=zct\n"
    tiff(path, values, metadata=None, description=words)
    stack = untouched(path, tmp_path / "b.tif")
    assert stack.axes == "CZYX"
    assert np.array_equal(returned(stack), values.reshape(2, 3, 8, 9))


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
    path = tiff(tmp_path / "a.tif", measured(shape, dtype), **options)
    assert is_scientific_tiff(path) is measured_data


def test_other_files_and_broken_ones_are_no_data(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08\0")
    for name in ("a.png", "cut.tif", "missing.tif", ""):
        assert is_scientific_tiff(tmp_path / name) is False
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(measured((40, 40, 3), "uint8"), metadata=None, photometric="rgb")
        writer.write(measured((8, 8, 3), "uint8"), subfiletype=1, photometric="rgb")
    assert is_scientific_tiff(tmp_path / "a.tif") is False


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_pages_keep_the_order_of_the_file_whatever_the_order_of_the_planes(order, big, tmp_path):
    values = measured((4, 6, 7), "uint8")
    for planes in itertools.permutations(range(4)):
        places = "".join(
            f'<TiffData FirstZ="{z}" IFD="{page}" PlaneCount="1"/>' for page, z in enumerate(planes)
        )
        words = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="7" SizeY="6" SizeZ="4" SizeC="1" SizeT="1">{places}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order, bigtiff=big) as writer:
            for page, description in zip(values, [words, None, None, None], strict=True):
                writer.write(page, metadata=None, compression="zlib", description=description)
        stack = untouched(tmp_path / "a.tif", tmp_path / "b.tif", overwrite=True)
        assert np.array_equal(returned(stack)[list(planes)], values)
        with tifffile.TiffFile(tmp_path / "b.tif") as file:
            assert np.array_equal(np.stack([page.asarray() for page in file.pages]), values)


def test_a_tag_is_added_where_it_belongs(tmp_path):
    path = pages(tmp_path / "a.tif", measured((3, 6, 7), "uint8"))
    before = path.read_bytes()
    tiff_write._add_tag(path, 269, b"some words and more")
    after = path.read_bytes()
    assert after[8 : len(before)] == before[8:]
    with tifffile.TiffFile(path) as file:
        codes = [tag.code for tag in file.pages[0].tags]
        assert codes == sorted(codes)
        assert file.pages[0].tags[269].value == b"some words and more"
        assert len(file.pages) == 3
    assert struct.unpack("<I", after[4:8])[0] % 2 == 0
