"""xarray's arrays keep their labels, dask's stay lazy; neither is imported for others."""

import subprocess
import sys

import numpy as np
import pytest

import impasto
from impasto.denoising import foreign_arrays
from impasto.denoising.foreign_arrays import axes_of_dims

SCENE = np.hypot(*np.mgrid[-1:1:120j, -1:1:160j]).astype(np.float32)
NOISY = SCENE + 0.1 * np.random.default_rng(0).normal(size=SCENE.shape).astype(np.float32)
QUICK = {"effort": "quick", "device": "cpu"}


def error_of(image):
    return float(np.square(np.asarray(image, np.float32) - SCENE).mean())


@pytest.fixture
def xarray():
    return pytest.importorskip("xarray")


@pytest.fixture
def dask_array():
    return pytest.importorskip("dask.array")


@pytest.fixture
def dask(dask_array):
    """dask with a scheduler that computes one chunk after the other."""
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield dask


@pytest.mark.parametrize(
    ("dims", "axes"),
    [
        (("y", "x"), "YX"),
        (("x", "y"), "XY"),
        (("time", "band", "lat", "lon"), "TCYX"),
        (("sweep", "a", "b"), "AYX"),
        (("lon", "other"), "XY"),
        (("y", "x", "channel"), "YXC"),
        (("time", "t", "row", "col"), "TAYX"),
    ],
)
def test_names_of_dims_say_what_the_axes_are(dims, axes):
    assert axes_of_dims(dims) == axes


def test_nothing_is_imported_for_other_arrays():
    code = (
        "import sys, torch, impasto; impasto.denoise(torch.rand(1, 16, 16), sigma=0.1); "
        "sys.exit(bool({'xarray', 'dask', 'IPython'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_data_array_keeps_its_labels(xarray):
    counts = (1000 * NOISY + 500).clip(0).astype(np.uint16)
    picture = xarray.DataArray(
        np.stack([counts, counts]),
        dims=("time", "lat", "lon"),
        coords={"time": [3, 4], "lat": np.arange(120.0), "place": "here"},
        attrs={"units": "1"},
        name="light",
    )
    before = picture.copy(deep=True)
    clean = impasto.denoise(picture, **QUICK)
    assert isinstance(clean, xarray.DataArray)
    assert clean.dims == picture.dims
    assert clean.attrs == picture.attrs
    assert clean.name == "light"
    assert clean.dtype == np.uint16
    assert clean.coords.equals(picture.coords)
    assert picture.identical(before)
    assert error_of((clean[1] - 500.0) / 1000) < 0.2 * error_of((counts - 500.0) / 1000)
    array = impasto.denoise(picture.values, axes="TYX", **QUICK).array()
    assert np.array_equal(clean.values, array)


def test_a_data_array_may_have_other_dims_and_orders(xarray):
    picture = xarray.DataArray(NOISY.T, dims=("x", "y"))
    clean = impasto.denoise(picture, **QUICK)
    assert clean.dims == ("x", "y")
    assert np.array_equal(clean.values.T, impasto.denoise(NOISY, **QUICK).array())
    named = xarray.DataArray(NOISY, dims=("a", "b"))
    assert impasto.denoise(named, axes="XY", **QUICK).dims == ("a", "b")


def test_an_array_of_dask_stays_lazy_and_its_chunks_agree(dask, dask_array, monkeypatch):
    fits, chunks = [], []
    fit, denoise_chunk = foreign_arrays._fit, foreign_arrays._denoise_chunk
    monkeypatch.setattr(foreign_arrays, "_fit", lambda *a: fits.append(1) or fit(*a))
    monkeypatch.setattr(
        foreign_arrays, "_denoise_chunk", lambda *a, **k: chunks.append(1) or denoise_chunk(*a, **k)
    )
    lazy = impasto.denoise(dask_array.from_array(NOISY, chunks=(70, 80)), **QUICK)
    assert isinstance(lazy, dask_array.Array)
    assert (lazy.shape, lazy.dtype) == (NOISY.shape, NOISY.dtype)
    assert fits == chunks == []
    clean = lazy.compute()
    assert len(fits) == 1
    assert len(chunks) >= 2
    whole = impasto.denoise(dask_array.from_array(NOISY, chunks=-1), **QUICK).compute()
    assert error_of(clean) < 1.1 * error_of(whole) < 0.1 * error_of(NOISY)
    seam = np.abs(clean[:, 80] - clean[:, 79]).mean()
    assert seam < 1.3 * np.abs(whole[:, 80] - whole[:, 79]).mean() + 0.002


def test_planes_channels_and_a_data_array_of_dask(xarray, dask, dask_array):
    counts = (1000 * NOISY + 500).clip(0).astype(np.uint16)
    data = dask_array.from_array(
        np.stack([counts] * 4).reshape(2, 2, 120, 160), chunks=(1, 1, 90, 90)
    )
    picture = xarray.DataArray(data, dims=("time", "band", "y", "x"), attrs={"a": 1}, name="n")
    clean = impasto.denoise(picture, **QUICK)
    assert isinstance(clean.data, dask_array.Array)
    assert clean.chunks[1] == (2,)
    assert (clean.dims, clean.attrs, clean.name) == (picture.dims, {"a": 1}, "n")
    values = clean.compute().values
    assert values.dtype == np.uint16
    assert error_of((values[1, 1] - 500.0) / 1000) < 0.2 * error_of((counts - 500.0) / 1000)


def test_threads_and_pieces_give_the_same(dask_array):
    lazy = impasto.denoise(dask_array.from_array(NOISY, chunks=(60, 80)), **QUICK)
    alone = lazy.compute(scheduler="synchronous")
    assert np.array_equal(lazy.compute(scheduler="threads"), alone)
    assert np.array_equal(lazy[:10, 70:90].compute(scheduler="synchronous"), alone[:10, 70:90])


def test_small_arrays_and_other_options(dask, dask_array):
    small = dask_array.from_array(NOISY[:9, :7], chunks=(4, 4))
    assert impasto.denoise(small, sigma=0.1, **QUICK).compute().shape == (9, 7)
    lazy = dask_array.from_array(NOISY, chunks=(90, 90))
    half = impasto.denoise(lazy, strength=0.5, detail=0.5, **QUICK).compute()
    full = impasto.denoise(lazy, **QUICK).compute()
    assert error_of(full) < error_of(half) < error_of(NOISY)


def test_what_a_lazy_array_cannot_do_is_one_sentence(dask, dask_array):
    lazy = dask_array.from_array(np.stack([NOISY] * 2), chunks=(1, 60, 80))
    cases = [
        ({"across": "Z"}, "^`across` must be auto or none for a dask array, got 'Z'; compute it"),
        ({"crop": (0, 0, 9, 9)}, "^`crop` must be whole for a dask array"),
        ({"axes": "YX"}, "^`axes` must be 3 different capital letters"),
        ({"on_step": print}, "^`on_step` must be left out for a dask array"),
    ]
    for options, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            impasto.denoise(lazy, **options)
    with pytest.raises(ValueError, match=r"^`picture` must be bool, uint8, .* got complex64"):
        impasto.denoise(lazy.astype("complex64"))
    with pytest.raises(ValueError, match=r"^`picture` must have chunks of known sizes"):
        impasto.denoise(lazy[lazy.max(axis=(1, 2)) > 0])
    with pytest.raises(ValueError, match=r"^`picture` must have pixels"):
        impasto.denoise(lazy[:, :0])
    with pytest.raises(ValueError, match=r"^`picture` must be finite"):
        impasto.denoise(lazy * np.float32("nan")).compute()


def test_a_data_array_s_mistakes_are_one_sentence(xarray):
    with pytest.raises(ValueError, match=r"^`crop` must be whole for a DataArray"):
        impasto.denoise(xarray.DataArray(NOISY), crop=(0, 0, 9, 9))
    with pytest.raises(ValueError, match=r"^`axes` must be 1 different capital letters"):
        impasto.denoise(xarray.DataArray(NOISY[0]))
    with pytest.raises(TypeError, match="got Dataset; open it first"):
        impasto.denoise(xarray.Dataset({"a": ("x", NOISY[0])}))
