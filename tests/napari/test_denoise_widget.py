"""The widget Denoise in a real napari."""

import numpy as np
import pytest
import torch

import impasto

pytest_plugins = ["napari_fixtures"]
pytestmark = pytest.mark.filterwarnings("ignore")  # napari's and its libraries' own


def cells(planes=3, colors=(), sigma=15, side=64):
    """Make planes of a still scene, and the same with noise."""
    y, x = np.mgrid[:side, : side + 8]
    scene = 128 + 60 * np.sin(x / 9) * np.cos(y / 13)
    scene = np.broadcast_to(scene[..., None] if colors else scene, (*scene.shape, *colors))
    clean = np.stack([scene] * planes) if planes else scene
    noisy = clean + np.random.default_rng(0).normal(0, sigma, clean.shape)
    return clean, noisy.clip(0, 255).astype("u1")


def error(first, second):
    return np.abs(np.asarray(first, float) - np.asarray(second, float)).mean()


@pytest.fixture
def dock(viewer):
    """Open the widget as the Plugins menu does."""
    _, widget = viewer.window.add_plugin_dock_widget("impasto", "Denoise")
    widget.options.set_value("effort", "quick")
    return widget


def run(widget, wait, call):
    call()
    assert widget.run_bar.running
    wait(lambda: not widget.run_bar.running)


def test_a_stack_becomes_a_layer_that_lies_and_looks_the_same(viewer, dock, wait, said):
    clean, noisy = cells()
    layer = viewer.add_image(
        noisy, name="cells", scale=(2, 0.5, 0.5), translate=(1, 2, 3), rotate=10,
        axis_labels=("time", "y", "x"), units=("s", "um", "um"), colormap="magma",
        contrast_limits=(10, 240), metadata={"dish": 7},
    )  # fmt: skip
    assert dock.layer_box.layer is layer
    assert dock.axes_box.currentText() == "TYX"
    threads = torch.get_num_threads()
    run(dock, wait, dock.run)
    result = viewer.layers["cells denoised"]
    assert result.data.dtype == noisy.dtype
    assert error(result.data, clean) < 0.5 * error(noisy, clean)
    for name in ("scale", "translate", "rotate", "contrast_limits"):
        assert np.allclose(getattr(result, name), getattr(layer, name)), name
    for name in ("units", "axis_labels"):
        assert getattr(result, name) == getattr(layer, name)
    assert result.colormap.name == "magma"
    assert result.metadata["dish"] == 7
    record = result.metadata["impasto"]
    assert (record["method"], record["recipe"]["effort"]) == ("denoise", "quick")
    assert "Gaussian" in dock.words.text()
    assert viewer.layers.selection.active is layer
    assert torch.get_num_threads() == threads
    assert not [one for one in said() if one[0] == "ERROR"]
    assert "impasto" not in layer.metadata


def test_the_sliders_answer_without_another_run(viewer, dock, wait):
    _, noisy = cells()
    viewer.add_image(noisy, name="cells", axis_labels=("z", "y", "x"))
    run(dock, wait, dock.run)
    result = viewer.layers["cells denoised"]
    shown = viewer.dims.current_step[0]
    others = [number for number in range(3) if number != shown]
    dock.shares.set_value("strength", 0.0)
    assert np.array_equal(result.data[shown], noisy[shown])  # before anything else happens
    assert error(result.data[others], noisy[others]) > 1
    wait(lambda: np.array_equal(result.data, noisy) and not dock.run_bar.running)
    assert result.metadata["impasto"]["recipe"]["strength"] == 0
    dock.shares.set_value("strength", 1.0)
    dock.shares.set_value("detail", 1.0)
    wait(lambda: dock.live.has_texture and not dock.run_bar.running)
    expected = dock.live.result.at(strength=1.0, detail=1.0).array()
    assert np.array_equal(result.data, expected)


def test_colors_keep_their_opacity_and_have_a_slider_of_their_own(viewer, dock, wait):
    clean, noisy = cells(0, (3,))
    alpha = np.arange(noisy[..., :1].size, dtype="u1").reshape(*noisy.shape[:2], 1)
    viewer.add_image(np.concatenate([noisy, alpha], -1), rgb=True, name="photo")
    run(dock, wait, dock.run)
    result = viewer.layers["photo denoised"]
    assert result.rgb
    assert np.array_equal(result.data[..., 3:], alpha)
    assert error(result.data[..., :3], clean) < 0.6 * error(noisy, clean)
    assert dock.shares.control("chroma").isEnabled()
    dock.shares.set_value("chroma", 0.5)
    expected = dock.live.result.at(chroma=0.5).array()
    assert np.array_equal(result.data[..., :3], expected)
    wait(lambda: not dock.run_bar.running)


def test_what_is_on_screen_is_previewed_in_its_place(viewer, dock, wait):
    clean, noisy = cells(side=128)
    layer = viewer.add_image(noisy, name="cells", scale=(2, 0.5, 0.5), translate=(0, 5, 0))
    viewer.dims.set_current_step(0, 2)
    layer.corner_pixels = np.array([[2, 30, 40], [2, 79, 99]])  # as when it is zoomed in
    run(dock, wait, dock.preview)
    preview = viewer.layers["cells preview"]
    assert preview.data.shape == (1, 50, 60)
    assert np.allclose(preview.translate, [4, 5 + 15, 20])
    assert error(preview.data[0], clean[2, 30:80, 40:100]) < 0.6 * error(noisy, clean)
    dock.shares.set_value("strength", 0.0)
    assert np.array_equal(preview.data[0], noisy[2, 30:80, 40:100])
    wait(lambda: not dock.run_bar.running)


def test_lazy_planes_are_read_one_by_one_and_may_go_to_a_file(viewer, dock, wait, tmp_path):
    dask = pytest.importorskip("dask")
    da = pytest.importorskip("dask.array")
    pytest.importorskip("zarr")
    clean, noisy = cells(5)
    read = []

    def plane(number):
        read.append(number)
        return noisy[number][None]

    one = (1, *noisy.shape[1:])
    lazy = da.concatenate([da.from_delayed(dask.delayed(plane)(n), one, "u1") for n in range(5)])
    layer = viewer.add_image(lazy, name="cells", axis_labels=("t", "y", "x"))
    for name in ("out.tif", "out.zarr"):
        dock.output.setText(str(tmp_path / name))
        run(dock, wait, dock.run)
        assert (tmp_path / name).exists()
        result = viewer.layers[-1]
        assert result.name.startswith("cells denoised")
        assert error(np.asarray(result.data), clean) < 0.5 * error(noisy, clean)
        assert result.data[1:3, ::2].shape == (2, 32, 72)
        assert name in dock.words.text()
    assert set(read) == set(range(5))
    assert viewer.layers.selection.active is layer


def test_the_axes_are_asked_for_where_the_layer_does_not_say(viewer, dock):
    viewer.add_image(np.zeros((4, 32, 32), "u1"), name="unnamed")
    assert "choose" in dock.axes_note.text()
    assert [dock.axes_box.itemText(at) for at in range(3)] == ["ZYX", "TYX", "CYX"]
    viewer.add_image(np.zeros((32, 32), "u1"), name="flat")
    assert (dock.axes_box.currentText(), dock.axes_note.text()) == ("YX", "")


def test_a_run_is_cancelled_and_leaves_no_layer(viewer, dock, wait, said):
    _, noisy = cells(6, side=128)
    viewer.add_image(noisy, name="cells")
    dock.run()
    assert not dock.run_button.isEnabled()
    wait(lambda: dock.run_bar.bar.value() > 0)
    dock.run_bar.cancel()
    wait(lambda: not dock.run_bar.running)
    wait(lambda: said() != [])
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert "cancelled" in said()[-1][1]
    assert dock.run_button.isEnabled()


@pytest.mark.parametrize(
    ("data", "prepare", "words"),
    [
        (np.full((32, 32), np.nan, "f4"), None, "must be finite"),
        (np.zeros((32, 32), "i8"), None, "got int64"),
        (np.zeros((3, 32, 32), "u1"), lambda d: d.axes_box.setEditText("ZY"), "`axes` must be 3"),
        (np.zeros((32, 32), "u1"), lambda d: d.options.set_value("across", "zz"), "`across`"),
        (np.zeros((32, 32), "u1"), lambda d: d.output.setText("x.png"), "must end in .tif"),
        (None, None, "`layer` must be an image layer"),
    ],
)
def test_bad_input_is_one_sentence_in_napari_s_own_notification(
    viewer, dock, wait, said, data, prepare, words
):
    if data is not None:
        viewer.add_image(data, name="bad", contrast_limits=(0, 1))
    if prepare:
        prepare(dock)
    dock.run()
    wait(lambda: not dock.run_bar.running and said() != [])
    severity, message = said()[-1]
    assert severity == "ERROR"
    assert message.startswith("impasto: ")
    assert words in message
    assert "\n" not in message


def test_the_form_shows_every_option_of_the_recipe(viewer, dock):
    options = {*dock.options._controls, *dock.shares._controls}
    assert options == set(impasto.DenoiseRecipe.model_fields) - {"version", "axes", "crop"}
    for name in dock.options._controls:
        field = impasto.DenoiseRecipe.model_fields[name]
        assert field.description in dock.options.control(name).toolTip()
    dock.options.set_value("sigma", 0.1)
    dock.options.set_value("seed", 2**32 - 1)
    assert dock.recipe().sigma == 0.1
    assert dock.recipe().seed == 2**32 - 1


def test_noise_is_measured_in_words(viewer, dock, wait):
    viewer.add_image(cells(0)[1], name="cells")
    run(dock, wait, dock.measure)
    assert "sigma" in dock.words.text()
