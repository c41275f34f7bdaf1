"""Zarr and OME-Zarr stores, read and written a plane at a time."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from impasto import denoise_stack
from impasto.cli.main import impasto as command_line
from impasto.errors import ImageError, ImpastoError
from impasto.images.lazy_planes import LazyPlanes, lazy_stack
from impasto.images.open_input import open_input
from impasto.images.zarr_names import is_zarr
from impasto.images.zarr_read import axis_letters, open_zarr
from impasto.images.zarr_write import smaller_copies, write_zarr
from impasto.recipes import DenoiseRecipe

zarr = pytest.importorskip("zarr")

AXES = [
    {"name": "time", "type": "time"},
    {"name": "c", "type": "channel"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def numbers(*shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 255, shape).astype(dtype)


def write_ome(place, data, smaller=(), zarr_format=2, chunks=(2, 1, 16, 16)):
    """Write an OME-Zarr picture with smaller copies of given shapes."""
    group = zarr.create_group(place, zarr_format=zarr_format)
    key = {"name": "v2" if zarr_format == 2 else "default", "separator": "/"}
    datasets = []
    for level, shape in enumerate([data.shape, *smaller]):
        array = group.create_array(
            str(level), shape=shape, chunks=chunks, dtype=data.dtype, chunk_key_encoding=key
        )
        array[...] = data if level == 0 else 0
        scale = [1.0, 1.0, 0.5 * 2**level, 0.5 * 2**level]
        transform = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": transform})
    picture = {"multiscales": [{"version": "0.4", "axes": AXES, "datasets": datasets}]}
    picture["omero"] = {"channels": [{"label": "actin"}, {"label": "nuclei"}]}
    group.attrs.update(picture if zarr_format == 2 else {"ome": picture})
    return place


def copy_store(source, target, **options):
    stack = open_zarr(source)
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    return write_zarr(target, stack, planes, **options)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_comes_back_with_chunks_attributes_and_smaller_copies(tmp_path, zarr_format):
    data = numbers(3, 2, 32, 48)
    source = write_ome(tmp_path / "a.zarr", data, [(3, 2, 16, 24), (3, 2, 8, 12)], zarr_format)
    stack = open_zarr(source)
    assert (stack.axes, stack.count, stack.plane_shape) == ("TCYX", 3, (2, 32, 48))
    assert "made anew" in smaller_copies(stack)
    copy_store(source, tmp_path / "b.zarr", recipe=json.dumps({"strength": 1.0}))
    before, after = (zarr.open(tmp_path / name, mode="r") for name in ("a.zarr", "b.zarr"))
    attributes = after.attrs.asdict()
    assert attributes.pop("impasto") == {"strength": 1.0}
    assert attributes == before.attrs.asdict()
    for level in "012":
        old, new = before[level], after[level]
        assert (old.chunks, old.dtype, old.shape) == (new.chunks, new.dtype, new.shape)
        assert old.compressors == new.compressors
        assert new.metadata.zarr_format == zarr_format
    assert np.array_equal(after["0"][:], data)
    means = data.reshape(3, 2, 16, 2, 24, 2).mean((3, 5))
    assert np.abs(after["1"][:] - means).max() <= 0.5
    assert not list(tmp_path.glob(".impasto*"))


def test_a_copy_that_is_smaller_along_other_axes_is_left_out_and_said_so(tmp_path):
    source = write_ome(tmp_path / "a.zarr", numbers(4, 2, 32, 48), [(2, 2, 16, 24)])
    assert "all are left out" in smaller_copies(open_zarr(source))
    copy_store(source, tmp_path / "b.zarr")
    group = zarr.open(tmp_path / "b.zarr", mode="r")
    assert [name for name, _ in group.members()] == ["0"]
    assert len(group.attrs["multiscales"][0]["datasets"]) == 1


def test_planes_of_one_chunk_are_read_together_once():
    class Counting:
        shape, dtype, chunks = (6, 8, 8), np.dtype("uint8"), (4, 8, 8)
        reads = 0

        def __getitem__(self, slices):
            Counting.reads += 1
            return np.broadcast_to(np.arange(6, dtype="u1")[:, None, None], self.shape)[slices]

    stack = lazy_stack(Counting(), "ZYX")
    assert isinstance(stack.data, LazyPlanes)
    planes = [stack.read_raw(index)[0, 0] for index in stack.plane_indices()]
    assert (planes, Counting.reads) == ([0, 1, 2, 3, 4, 5], 2)


def test_a_stack_is_denoised_from_zarr_to_zarr_by_the_command(tmp_path):
    still = np.tile(np.linspace(50, 200, 64), (4, 1, 64, 1))
    noisy = (still + np.random.default_rng(1).normal(0, 10, still.shape)).astype("u2")
    source = write_ome(tmp_path / "a.zarr", noisy, [(4, 1, 32, 32)])
    out = tmp_path / "out.zarr"
    words = ["denoise", str(source), "-o", str(out), "--effort", "quick"]
    done = CliRunner().invoke(command_line, words)
    assert done.exit_code == 0, done.output
    assert "smaller copies are made anew" in done.stderr
    assert (tmp_path / "out.zarr.impasto.json").is_file()
    group = zarr.open(out, mode="r")
    assert np.abs(group["0"][:] - still).mean() < 0.5 * np.abs(noisy - still).mean()
    assert group.attrs["impasto"]["inputs"]["content"]["name"] == "a.zarr"
    again = CliRunner().invoke(command_line, words)
    assert again.exit_code != 0


@pytest.mark.parametrize(("axes", "ome"), [("TYX", True), ("ZCYX", False)])
def test_an_array_becomes_a_store_that_names_its_axes(tmp_path, axes, ome):
    data = numbers(*(2, 3, 20, 24)[-len(axes) :])
    recipe = DenoiseRecipe(axes=axes, strength=0, chroma=0 if "C" in axes else "same")
    path = denoise_stack(data, tmp_path / "a.zarr", recipe=recipe, overwrite=True)
    stack = open_zarr(path)
    assert (stack.axes, hasattr(stack.data.group, "attrs")) == (axes, ome)
    assert np.array_equal(stack.data.data[:], data)


def test_a_store_behind_a_url_is_read_and_written(tmp_path):
    data = numbers(2, 1, 20, 24)
    write_ome("memory://there/a.zarr", data)
    target = copy_store("memory://there/a.zarr", "memory://there/b.zarr")
    assert target == "memory://there/b.zarr"
    assert torch.equal(open_zarr(target).read_plane((1,)), open_input(target).read_plane((1,)))
    with pytest.raises(ImageError, match="must be a new store at a URL"):
        copy_store("memory://there/a.zarr", "memory://there/b.zarr", overwrite=True)


def test_a_store_is_replaced_only_if_it_may_be_and_never_an_input(tmp_path):
    source = write_ome(tmp_path / "a.zarr", numbers(2, 1, 20, 24))
    copy_store(source, tmp_path / "b.zarr")
    with pytest.raises(ImageError, match="which exists"):
        copy_store(source, tmp_path / "b.zarr")
    copy_store(source, tmp_path / "b.zarr", overwrite=True)
    with pytest.raises(ImageError, match="one of the inputs"):
        copy_store(source, source, overwrite=True)
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(ImageError, match="no zarr store"):
        copy_store(source, tmp_path / "c.zarr", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "b.zarr", "c.zarr"]


def test_a_run_that_fails_leaves_nothing(tmp_path):
    stack = open_zarr(write_ome(tmp_path / "a.zarr", numbers(2, 1, 20, 24)))
    with pytest.raises(ValueError, match="got 1; give them all"):
        write_zarr(tmp_path / "b.zarr", stack, [stack.read_plane((0,))])
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_stores_that_hold_no_one_picture_are_refused_in_a_sentence(tmp_path):
    group = zarr.create_group(tmp_path / "many.zarr")
    for name in "ab":
        group.create_array(name, shape=(8, 8), dtype="u1")
    zarr.create_array(tmp_path / "complex.zarr", shape=(8, 8), dtype="c8")
    zarr.create_array(tmp_path / "flat.zarr", shape=(8,), dtype="u1")
    floats = zarr.create_array(tmp_path / "nan.zarr", shape=(8, 8), dtype="f4")
    floats[...] = np.nan
    broken = write_ome(tmp_path / "broken.zarr", numbers(2, 1, 20, 24))
    for chunk in (broken / "0" / "0" / "0").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    words = {
        "many": "a group of a, b",
        "complex": "numbers are complex64",
        "flat": "shape",
        "nan": "finite",
        "broken": "cannot be read or decoded",
        "missing": "there is no zarr store",
    }
    for name, reason in words.items():
        with pytest.raises(ImpastoError, match=reason):
            open_zarr(tmp_path / f"{name}.zarr")
    assert open_zarr(tmp_path / "many.zarr" / "a").axes == "YX"


def test_names_of_stores_and_axes_are_told(tmp_path):
    plain = tmp_path / "plain"
    zarr.create_array(plain, shape=(8, 8), dtype="u1")
    assert is_zarr(plain)
    assert not is_zarr(tmp_path)
    assert axis_letters(["t", "tile", "z", "y", "x"]) == "TPZYX"
    named = zarr.create_array(
        tmp_path / "n.zarr", shape=(2, 8, 8), dtype="u1", dimension_names=["band", "y", "x"]
    )
    assert named.ndim == 3
    assert open_zarr(tmp_path / "n.zarr").axes == "BYX"
