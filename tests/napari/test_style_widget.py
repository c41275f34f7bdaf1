"""The widget Style in a real napari."""

import numpy as np
import pytest

import impasto

pytest_plugins = ["napari_fixtures"]
pytestmark = pytest.mark.filterwarnings("ignore")  # napari's and its libraries' own


@pytest.fixture
def dock(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("impasto", "Style")
    widget.main_options.set_value("size", 48)
    widget.options.set_value("steps", 4)
    widget.options.set_value("scales", 1)
    return widget


def pictures(viewer):
    rng = np.random.default_rng(0)
    content = viewer.add_image(rng.random((48, 64)), name="photo", scale=(0.5, 0.5))
    style = viewer.add_image(rng.random((40, 40, 3)).astype("f4"), rgb=True, name="oil")
    viewer.layers.selection.active = content
    return content, style


def test_a_layer_is_painted_in_place_with_masks(viewer, dock, wait, said):
    content, style = pictures(viewer)
    labels = np.zeros((48, 64), int)
    labels[:, :20] = 3
    protect = viewer.add_labels(labels, scale=(0.5, 0.5), name="faces")
    region = viewer.add_shapes(
        [[[0, 0], [0, 32], [24, 32], [24, 0]]], shape_type="polygon", name="sky"
    )
    dock.content_box.choose(content)
    dock.style_box.choose(style)
    dock.mask_boxes["protect"].choose(protect)
    dock.mask_boxes["region"].choose(region)
    dock.run()
    wait(lambda: not dock.run_bar.running)
    painted = viewer.layers["photo painted"]
    assert painted.rgb
    assert painted.data.shape == (36, 48, 3)
    # It covers its content: edges are half a pixel beyond the middles of the outer pixels.
    for layer in (content, painted):
        low, high = layer.extent.world[:, -2:]
        half = 0.5 * layer.scale
        assert np.allclose([low - half, high + half], [[-0.25, -0.25], [23.75, 31.75]]), layer
    record = painted.metadata["impasto"]
    assert (record["method"], record["recipe"]["steps"]) == ("style", 4)
    assert record["inputs"]["protect"] is not None
    assert record["inputs"]["styles"][0]["region"] is not None
    assert not [one for one in said() if one[0] == "ERROR"]


def test_a_plane_of_a_stack_is_painted_from_a_file_where_it_is(viewer, dock, wait, tmp_path):
    from PIL import Image

    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40, 3), "u1")).save(
        tmp_path / "oil.png"
    )
    stack = np.random.default_rng(0).integers(0, 99, (3, 48, 48)).astype("u2")
    viewer.add_image(stack, name="cells", scale=(2, 1, 1))
    viewer.dims.set_current_step(0, 1)
    dock.style_file.setText(str(tmp_path / "oil.png"))
    dock.run()
    wait(lambda: not dock.run_bar.running)
    painted = viewer.layers["cells painted"]
    assert painted.data.shape == (1, 48, 48, 3)
    assert painted.translate[0] == 2


def test_a_cancelled_painting_keeps_the_best_so_far(viewer, dock, wait, said):
    content, style = pictures(viewer)
    dock.content_box.choose(content)
    dock.style_box.choose(style)
    dock.options.set_value("steps", 5000)
    dock.run()
    wait(lambda: "photo painted" in viewer.layers)  # the preview
    dock.run_bar.cancel()
    wait(lambda: not dock.run_bar.running)
    assert "stopped" in said()[-1][1]
    assert "impasto" in viewer.layers["photo painted"].metadata


def test_bad_input_is_one_sentence(viewer, dock, wait, said):
    content, _ = pictures(viewer)
    dock.content_box.choose(content)
    dock.run()
    assert said()[-1] == (
        "ERROR",
        "impasto: `style` must be a layer or a file, got none; choose one",
    )
    dock.style_file.setText("missing.png")
    dock.run()
    wait(lambda: not dock.run_bar.running and len(said()) > 1)
    assert "missing.png" in said()[-1][1]


def test_the_form_shows_every_option_of_the_recipe(viewer, dock):
    options = {*dock.options._controls, *dock.main_options._controls}
    assert options == set(impasto.StyleRecipe.model_fields) - {"version"}
