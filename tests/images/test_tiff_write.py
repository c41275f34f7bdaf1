"""Results in a TIFF like the one that the data came from, whole or not at all."""

from __future__ import annotations

import contextlib
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
from PIL import Image, TiffImagePlugin
from stack_makers import (
    EXACT,
    KINDS,
    TAIL,
    copy_planes,
    random_data,
    read_tags,
    rewrite,
    write_pages,
    write_tiff,
)

from impasto import ImageError, files
from impasto.files import stale_temporary_files
from impasto.images import tiff_write
from impasto.images.stack import TYPES, array_stack
from impasto.images.tiff_read import open_stack
from impasto.images.tiff_write import write_stack
from impasto.images.xmp import from_xmp, to_xmp

RECIPE = '{"kind": "denoise", "strength": 0.5}'


COMPRESSIONS = (None, "zlib", "lzw", "zstd", "packbits", "lzma")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_an_untouched_file_without_compression_is_the_same_file(dtype, kind, order, tmp_path):
    if kind == "imagej" and dtype not in ("uint8", "uint16", "int16", "float32"):
        return  # ImageJ has no such type
    if kind == "ome" and dtype == "float16":
        return  # nor has OME
    values = random_data((3, 2, 9, 11), dtype)
    if dtype in ("uint32", "int32", "float64"):  # which come back with 24 bits
        values = (values.astype(float) % 1000).astype(int).astype(dtype)
    path = write_tiff(tmp_path / "a.tif", values, order=order, **KINDS[kind])
    stack = rewrite(path, tmp_path / "b.tif")
    assert stack.axes == ("IYX" if kind == "plain" else "TCYX")
    assert stack.dtype == np.dtype(dtype).newbyteorder(order)
    if dtype == "bool":  # eight to a byte
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), tifffile.imread(path))
    else:
        assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_type_axes_order_and_compression_stay(kind, compression, order, tmp_path):
    values = random_data((3, 2, 9, 11), "uint16")
    options = {**KINDS[kind], "compression": compression, "order": order}
    path = write_tiff(tmp_path / "a.tif", values, **options)
    rewrite(path, tmp_path / "b.tif", recipe=RECIPE)
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert np.array_equal(new.asarray(), values.reshape(old.series[0].shape))
        assert new.byteorder == old.byteorder == order
        assert new.series[0].axes == old.series[0].axes
        assert new.series[0].kind == old.series[0].kind
        assert [p.compression for p in new.pages] == [p.compression for p in old.pages]
        assert new.pages[0].tags[700].value == to_xmp(RECIPE)
    for number in range(6):
        assert read_tags(tmp_path / "b.tif", number) == read_tags(path, number)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", EXACT)
def test_every_type_is_compressed_again(dtype, order, predictor, tmp_path):
    values = random_data((3, 40, 33), dtype)
    options = {"compression": "zlib", "predictor": predictor and dtype != "bool"}
    path = write_tiff(tmp_path / "a.tif", values, order=order, rowsperstrip=16, **options)
    rewrite(path, tmp_path / "b.tif")
    assert tifffile.imread(tmp_path / "b.tif").tobytes() == tifffile.imread(path).tobytes()
    assert read_tags(tmp_path / "b.tif") == read_tags(path)
    if dtype != "bool":
        assert read_tags(path).get(317, 1) == (1 if not predictor else 3 if "float" in dtype else 2)


LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "one tile": {"tile": (48, 64)},
    "compressed tiles": {"tile": (16, 16), "compression": "zlib", "predictor": True},
    "compressed strips": {"rowsperstrip": 5, "compression": "lzw"},
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
    values = random_data(shape, "uint16")
    path = write_tiff(tmp_path / "a.tif", values, bigtiff=big, **(LAYOUTS[layout] | options))
    stack = rewrite(path, tmp_path / "b.tif", recipe=RECIPE)
    assert stack.count == len(values)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    for number in range(1 if samples == "volume" else 4):
        assert read_tags(tmp_path / "b.tif", number) == read_tags(path, number)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_bigtiff == big
        assert from_xmp(file.pages[0].tags[700].value) == RECIPE


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_apart_from_each_other_keep_their_own_tags(compression, tmp_path):
    values = random_data((5, 20, 30), "float32")
    path = write_pages(
        tmp_path / "a.tif", values, compression=compression, rowsperstrip=6, datetime=True
    )
    stack = rewrite(path, tmp_path / "b.tif", recipe=RECIPE)
    assert stack.axes == "IYX"
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    for number in range(5):
        assert read_tags(tmp_path / "b.tif", number) == read_tags(path, number)
        assert read_tags(path, number)[270] == f"page {number}"


def test_the_metadata_of_imagej_is_kept_with_other_pixels(tmp_path):
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
    values = random_data((3, 2, 20, 30), "uint16") // 16
    path = write_tiff(tmp_path / "a.tif", values, imagej=True, order=">", **options)
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


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "CZTYX", "ZCTYX"])
def test_ome_keeps_its_description_and_the_order_of_its_pages(axes, compression, tmp_path):
    sizes = {"T": 2, "Z": 4, "C": 3, "Y": 8, "X": 9}
    values = random_data(tuple(sizes[axis] for axis in axes), "int16")
    metadata = {"axes": axes, "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"}
    metadata["Channel"] = {"Name": ["DAPI", "GFP", "RFP"]}
    path = write_tiff(
        tmp_path / "a.ome.tif", values, ome=True, metadata=metadata, compression=compression
    )
    stack = open_stack(path)
    assert stack.axes == axes
    assert stack.plane_shape == (3, 8, 9)
    rewrite(path, tmp_path / "b.ome.tif", recipe=RECIPE)
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
    for compression in (None, "zlib"):
        path = write_tiff(
            tmp_path / f"{compression}.tif",
            random_data((20, 30, 3), "uint8"),
            photometric="rgb",
            metadata=None,
            compression=compression,
            software="microscope",
            datetime="2026:01:02 03:04:05",
            **options,
        )
        rewrite(path, tmp_path / f"{compression} b.tif", recipe=RECIPE)
        written = read_tags(tmp_path / f"{compression} b.tif")
        assert written == read_tags(path)
        assert written[65000] == [1.5, 2.5, 3.5]
        assert written[305] == "microscope"


def test_colors_of_a_palette_stay_with_their_numbers(tmp_path):
    colors = np.random.default_rng(1).integers(0, 65535, (3, 256)).astype(np.uint16)
    imagej = {"metadata": None, "description": "ImageJ=1.54f\nimages=1\n"}
    for compression, colormap, kind in (
        (None, colors, imagej),
        ("zlib", colors, imagej),
        (None, np.sort(colors), {}),  # which only gets brighter
    ):
        path = tmp_path / f"{compression}.tif"
        values = random_data((20, 30), "uint8")
        options = {"colormap": colormap, "compression": compression, **kind}
        write_tiff(path, values, photometric="palette", **options)
        stack = rewrite(path, tmp_path / "b.tif", overwrite=True)
        assert stack.plane_shape == (1, 20, 30)
        assert read_tags(tmp_path / "b.tif") == read_tags(path)
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)


def test_what_was_compressed_with_loss_is_deflated(tmp_path):
    values = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    path = write_tiff(tmp_path / "a.tif", values, photometric="rgb", compression="jpeg")
    stack = rewrite(path, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].compression == 8
        assert file.pages[0].photometric == 2
        assert np.array_equal(file.asarray(), copy_planes(stack))
        assert np.array_equal(file.asarray(), tifffile.imread(path))


def test_numbers_of_twelve_bits_stay_in_twelve_bits(tmp_path):
    values = random_data((2, 16, 16), "uint16") // 16
    loose = write_tiff(tmp_path / "a.tif", values)
    dense = write_pages(tmp_path / "b.tif", values // 8, bitspersample=12)
    for path, expected in ((loose, values), (dense, values // 8)):
        stack = open_stack(path)
        assert stack.ceiling == 4095
        bright = (stack.read_plane(index) * 100 for index in stack.plane_indices())
        write_stack(tmp_path / "c.tif", stack, bright, overwrite=True)
        written = tifffile.imread(tmp_path / "c.tif")
        assert np.array_equal(written, (expected.astype(int) * 100).clip(0, 4095))
        assert read_tags(tmp_path / "c.tif")[258] == read_tags(path)[258]


@pytest.mark.parametrize("shape", [(64, 64), (3, 64, 64), (4, 4, 4)])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_smaller_copies_of_the_pages_are_left_out(tile, compression, shape, tmp_path):
    values = random_data(shape, "uint16")
    layout = {"tile": tile, "compression": compression, "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values, subifds=1, **layout)
        writer.write(values[..., ::2, ::2], subfiletype=1, **layout)
    assert open_stack(tmp_path / "a.tif").data.series.is_pyramidal
    rewrite(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert np.array_equal(file.asarray(), values)
        assert not file.series[0].is_pyramidal
        assert 330 not in file.pages[0].tags


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_are_taken_one_at_a_time(compression, tmp_path):
    path = write_tiff(
        tmp_path / "a.ome.tif",
        random_data((2, 9, 8, 8), "uint8"),
        ome=True,
        metadata={"axes": "CZYX"},
        compression=compression,
    )
    stack, planes = open_stack(path), []

    def results():
        for index in stack.plane_indices():
            gc.collect()
            assert sum(plane() is not None for plane in planes[:-1]) == 0
            plane = stack.read_plane(index)
            planes.append(weakref.ref(plane))
            yield plane
            del plane

    write_stack(tmp_path / "b.tif", stack, results())
    assert len(planes) == 9


def test_nothing_is_taken_where_nothing_can_be_written(tmp_path):
    stack = open_stack(write_tiff(tmp_path / "a.tif", random_data((3, 8, 8), "uint8")))
    planes = (pytest.fail("a plane was taken") for _ in range(3))
    for place in ("a.tif", "missing/b.tif"):
        with pytest.raises(ImageError):
            write_stack(tmp_path / place, stack, planes, overwrite=True)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["array", "plain", "compressed"])
def test_an_interrupted_run_leaves_nothing_behind(kind, error, tmp_path):
    values = random_data((4, 9, 9), "uint16")
    path = write_tiff(
        tmp_path / "a.tif", values, compression="zlib" if kind == "compressed" else None
    )
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


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("kind", ["array", "plain", "compressed"])
def test_a_killed_run_leaves_nothing_where_files_may_be_nameless(
    kind, nameless, tmp_path, monkeypatch
):
    if not nameless:
        monkeypatch.setattr(files, "_nameless_file", lambda folder: contextlib.nullcontext())
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("files without a name are Linux's")
    values = random_data((4, 9, 9), "uint16")
    path = write_tiff(
        tmp_path / "a.tif", values, compression="zlib" if kind == "compressed" else None
    )
    stack = array_stack(values, axes="ZYX") if kind == "array" else open_stack(path)
    maps = Path("/proc/self/maps")

    def results():
        for index in stack.plane_indices():
            stale = [file.name for file in stale_temporary_files(tmp_path, "")]
            assert sorted(os.listdir(tmp_path)) == sorted(["a.tif", *stale])
            assert not (nameless and stale)
            # Between two planes nothing of the results counts as memory.
            assert not maps.exists() or str(tmp_path) not in maps.read_text()
            yield stack.read_plane(index)

    write_stack(tmp_path / "b.tif", stack, results())
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "b.tif"]
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)


@pytest.mark.parametrize("missing", [1, 300, 20_000, "nearly all"])
@pytest.mark.parametrize("kind", ["array", "plain", "tiles", "compressed"])
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(kind, missing, tmp_path):
    resource = pytest.importorskip("resource")
    values = random_data((4, 100, 100), "uint16")
    options = {"tiles": {"tile": (16, 16)}, "compressed": {"compression": "zlib"}}.get(kind, {})
    path = write_tiff(tmp_path / "a.tif", values, **options)
    stack = array_stack(values, axes="ZYX") if kind == "array" else open_stack(path)

    def write():
        planes = map(stack.read_plane, stack.plane_indices())
        write_stack(tmp_path / "b.tif", stack, planes, recipe=RECIPE)

    write()
    size = (tmp_path / "b.tif").stat().st_size
    (tmp_path / "b.tif").unlink()
    room = 1000 if missing == "nearly all" else size - missing
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        with pytest.raises(ImageError) as caught:
            write()
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
    stack = open_stack(write_tiff(tmp_path / "a.tif", random_data((3, 8, 8), "uint8")))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        write_stack(tmp_path / "b.tif", stack, [torch.zeros(1, 8, 8)] * count)
    assert str(caught.value) == sentence
    assert os.listdir(tmp_path) == ["a.tif"]


def test_no_input_is_ever_written_over(tmp_path):
    path = write_tiff(tmp_path / "a.tif", random_data((3, 8, 8), "uint8"))
    other = write_tiff(tmp_path / "b.tif", random_data((3, 8, 8), "uint8"))
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
    path = write_tiff(tmp_path / "a.tif", random_data((3, 8, 8), "uint8"), compression="zlib")
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
    path = write_tiff(tmp_path / "a.tif", random_data((3, 8, 8), "uint8"), compression="zlib")
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
    path = write_tiff(tmp_path / "a.tif", random_data((3, 8, 8), "uint8"))
    stack = open_stack(path)
    write_tiff(path, random_data((3, 9, 9), "uint8"))
    with pytest.raises(ImageError) as caught:
        write_stack(tmp_path / "b.tif", stack, [torch.zeros(1, 8, 8)] * 3)
    assert str(caught.value) == (
        f"`picture` must be a readable TIFF, got {path}: it was changed while it was worked on; "
        "start again"
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
    values = random_data((max(2, int(np.prod(shape))),), dtype)[: int(np.prod(shape))].reshape(
        shape
    )
    values = values.astype(values.dtype.newbyteorder(order))
    stack = array_stack(values, axes=axes)
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(tmp_path / "a.tif", stack, planes, recipe=RECIPE)
    again = open_stack(tmp_path / "a.tif")
    assert again.axes == axes
    assert again.shape == shape
    assert again.dtype.newbyteorder("=") == values.dtype.newbyteorder("=")
    assert copy_planes(again).astype(values.dtype).tobytes() == values.tobytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.byteorder == (order if values.dtype.itemsize > 1 else "<")
        assert from_xmp(file.pages[0].tags[700].value) == RECIPE


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_xmp_of_other_programs_stays_in_place_of_the_recipe(compression, tmp_path):
    for number, (xmp, stays) in enumerate([(b"<x:xmpmeta/>", True), (to_xmp('{"a": 1}'), False)]):
        path = write_tiff(
            tmp_path / f"{number}.tif",
            random_data((3, 8, 8), "uint8"),
            compression=compression,
            extratags=[(700, 1, None, xmp, True)],
        )
        rewrite(path, tmp_path / f"b{number}.tif", recipe=RECIPE)
        with tifffile.TiffFile(tmp_path / f"b{number}.tif") as file:
            assert file.pages[0].tags[700].value == (xmp if stays else to_xmp(RECIPE))
            assert len(file.pages[0].tags.getall(700)) == 1


def test_what_a_classic_file_cannot_hold_becomes_a_big_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_write, "_CLASSIC_DATA", 100)
    values = random_data((3, 8, 8), "uint8")
    path = write_tiff(tmp_path / "a.tif", values, compression="zlib", resolution=(3.5, 4))
    rewrite(path, tmp_path / "b.tif", recipe=RECIPE)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(file.asarray(), values)
    assert read_tags(tmp_path / "b.tif") == read_tags(path)
    stack = array_stack(values)
    write_stack(tmp_path / "c.tif", stack, map(stack.read_plane, stack.plane_indices()))
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        assert file.is_bigtiff


def test_a_full_classic_file_goes_without_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_write, "_CLASSIC_END", 1000)
    path = write_tiff(tmp_path / "a.tif", random_data((3, 30, 30), "uint8"))
    rewrite(path, tmp_path / "b.tif", recipe=RECIPE)
    assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()


def test_axes_are_named_by_hand(tmp_path):
    values = random_data((3, 8, 9), "uint8")
    path = write_tiff(tmp_path / "a.tif", values, metadata=None)
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
    values = random_data((8, 5, 9), "uint8")
    for compression in (None, "zlib"):
        path = write_tiff(tmp_path / "a.tif", values, metadata=None, compression=compression)
        stack = open_stack(path, axes="YZX")
        assert stack.count == 5
        planes = (stack.read_plane(index) for index in stack.plane_indices())
        write_stack(tmp_path / "b.tif", stack, planes, overwrite=True)
        assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    path = write_tiff(tmp_path / "a.tif", values[..., :3], photometric="rgb", compression="zlib")
    stack = open_stack(path, axes="YXZ")
    assert stack.count == 3
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(tmp_path / "b.tif", stack, planes, overwrite=True)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values[..., :3])


def test_an_imagej_stack_of_one_directory_is_read_and_written(tmp_path):
    values = random_data((6, 20, 30), "uint16")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, imagej=True, truncate=True, metadata={"axes": "TYX"})
    stack = rewrite(path, tmp_path / "b.tif")
    assert stack.axes == "TYX"
    assert (tmp_path / "b.tif").read_bytes() == path.read_bytes()


def test_numbers_are_read_in_the_order_of_the_axes_not_of_the_pages(tmp_path):
    path = tmp_path / "a.tif"
    values = random_data((6, 8, 9), "uint8")
    description = "ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\nhyperstack=true\norder=zct\n"
    write_tiff(path, values, metadata=None, description=description)
    stack = rewrite(path, tmp_path / "b.tif")
    assert stack.axes == "CZYX"
    assert np.array_equal(copy_planes(stack), values.reshape(2, 3, 8, 9))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_pages_keep_the_order_of_the_file_whatever_the_order_of_the_planes(order, big, tmp_path):
    values = random_data((4, 6, 7), "uint8")
    for planes in itertools.permutations(range(4)):
        places = "".join(
            f'<TiffData FirstZ="{z}" IFD="{page}" PlaneCount="1"/>' for page, z in enumerate(planes)
        )
        description = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="7" SizeY="6" SizeZ="4" SizeC="1" SizeT="1">{places}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order, bigtiff=big) as writer:
            for page, text in zip(values, [description, None, None, None], strict=True):
                writer.write(page, metadata=None, compression="zlib", description=text)
        stack = rewrite(tmp_path / "a.tif", tmp_path / "b.tif", overwrite=True)
        assert np.array_equal(copy_planes(stack)[list(planes)], values)
        with tifffile.TiffFile(tmp_path / "b.tif") as file:
            assert np.array_equal(np.stack([page.asarray() for page in file.pages]), values)


def test_a_tag_is_added_where_it_belongs(tmp_path):
    path = write_pages(tmp_path / "a.tif", random_data((3, 6, 7), "uint8"))
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


@pytest.mark.parametrize("program", ["ImageJ", "Pillow"])
def test_a_file_of_another_program_gets_no_tag_but_the_recipe(program, tmp_path):
    path, values = tmp_path / "a.tif", random_data((5, 10, 12), ">u2")
    if program == "Pillow":
        images = [Image.fromarray(page.astype("<u2")) for page in values]
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[34665] = {36867: "2020:01:01 00:00:00"}  # tags of EXIF, which tifffile cannot write
        images[0].save(path, save_all=True, append_images=images[1:], tiffinfo=info)
    else:  # one directory, and the pixels of all pages behind it
        description = b"ImageJ=1.53t\nimages=5\nslices=5\nloop=false\n\0\0"
        short = 1 << 16
        entries = [(254, 4, 1, 0), (256, 4, 1, 12), (257, 4, 1, 10), (258, 3, 1, 16 * short)]
        entries += [(262, 3, 1, short), (270, 2, len(description), 134)]
        entries += [(273, 4, 1, 134 + len(description)), (277, 3, 1, short)]
        entries += [(278, 3, 1, 10 * short), (279, 4, 1, 240)]
        directory = b"".join(struct.pack(">HHII", *entry) for entry in entries)
        head = struct.pack(">2sHIH", b"MM", 42, 8, len(entries)) + directory + bytes(4)
        path.write_bytes(head + description + values.tobytes())
    rewrite(path, tmp_path / "b.tif", recipe=RECIPE)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    count = 1 if program == "ImageJ" else 5
    for number in range(count):
        assert read_tags(tmp_path / "b.tif", number) == read_tags(path, number)
    assert 282 not in read_tags(path)
    assert (34665 in read_tags(path)) is (program == "Pillow")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert len(file.pages) == count
        assert from_xmp(file.pages[0].tags[700].value) == RECIPE


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("change", ["deleted", "changed", "cut"])
def test_what_happens_to_the_source_meanwhile_is_told(change, compression, tmp_path):
    path = write_tiff(tmp_path / "a.tif", random_data((3, 9, 9), "uint8"), compression=compression)
    stack = open_stack(path, name="noisy")

    def results():
        for number, index in enumerate(stack.plane_indices()):
            if number == 1 and change == "deleted":
                path.unlink()
            elif number == 1:
                data = path.read_bytes()
                path.write_bytes(data[: len(data) // 2] if change == "cut" else data + b"more")
            yield stack.read_plane(index)

    way_out = "put it back" if change == "deleted" else "start again"
    happened = "deleted" if change == "deleted" else "changed"
    sentence = f"it was {happened} while it was worked on; {way_out}"
    with pytest.raises(ImageError, match=sentence):
        write_stack(tmp_path / "b.tif", stack, results())
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_source_that_is_deleted_when_all_is_read_is_not_needed_any_more(compression, tmp_path):
    values = random_data((3, 9, 9), "uint8")
    path = write_tiff(tmp_path / "a.tif", values, compression=compression)
    stack = open_stack(path)
    planes = [stack.read_plane(index) for index in stack.plane_indices()]

    def results():
        yield from planes
        path.unlink()

    write_stack(tmp_path / "b.tif", stack, results(), recipe=RECIPE)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), values)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert from_xmp(file.pages[0].tags[700].value) == RECIPE


def test_an_extra_sample_that_is_not_there_is_not_written(tmp_path):
    samples = np.arange(480, dtype=np.uint8).reshape(20, 24)
    tags = [(338, 3, 1, 1, True)]
    options = {"compression": "deflate", "photometric": "minisblack", "extratags": tags}
    tifffile.imwrite(tmp_path / "a.tif", samples, **options)
    stack = open_stack(tmp_path / "a.tif")
    write_stack(tmp_path / "b.tif", stack, [stack.read_plane(())])
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), samples)


@pytest.mark.parametrize("error", [TypeError, AttributeError, IndexError, struct.error])
@pytest.mark.parametrize("failing", [1, 3])
def test_pages_that_cannot_be_written_are_refused_in_a_sentence(
    tmp_path, monkeypatch, error, failing
):
    stacked = np.zeros((2, 20, 24), np.uint8)
    options = {"compression": "deflate", "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", stacked, **options)
    stack = open_stack(tmp_path / "a.tif")
    write, calls = tifffile.TiffWriter.write, []

    def break_down(*arguments, **options):
        calls.append(1)
        if len(calls) == failing:
            raise error("odd")
        return write(*arguments, **options)

    monkeypatch.setattr(tifffile.TiffWriter, "write", break_down)
    planes = [stack.read_plane(index) for index in stack.plane_indices()]
    with pytest.raises(ImageError, match="cannot write its MINISBLACK pages again"):
        write_stack(tmp_path / "b.tif", stack, planes)
    assert not (tmp_path / "b.tif").exists()
