"""The ComfyUI nodes, loaded and called as ComfyUI does, with a stand-in for its modules."""

import importlib.util
import json
import os
import sys
import tomllib
import types
import warnings
from pathlib import Path

import pytest
import torch

import impasto
from impasto.recipes import DenoiseRecipe, FilmRecipe, StyleRecipe

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
GENERATOR = torch.Generator().manual_seed(0)
PHOTO = torch.rand(1, 32, 48, 3, generator=GENERATOR)
STYLE = torch.rand(1, 32, 32, 3, generator=GENERATOR)
QUICK = {"size": 48, "steps": 3, "device": "cpu"}


class Interrupted(Exception):
    """What the stand-in raises where a user asked for the end."""


class Host:
    """A stand-in for ComfyUI: what it was told, and whether the user asked for the end."""

    def __init__(self, folder):
        self.reports, self.previews = [], []
        self.interrupt_at = None  # number of the report at which the user does
        self.interrupted = False
        self.folder = folder

    def report(self, value, total, preview):
        self.reports.append(value / total)
        if preview is not None:
            self.previews.append(preview)
        if self.interrupt_at is not None and len(self.reports) >= self.interrupt_at:
            self.interrupted = True

    def modules(self):
        """The modules of ComfyUI that the nodes may use, by name."""
        host = self

        class ProgressBar:
            def __init__(self, total):
                self.total = total

            def update_absolute(self, value, total=None, preview=None):
                host.report(value, total or self.total, preview)

        def throw_exception_if_processing_interrupted():
            if host.interrupted:
                host.interrupted = False
                raise Interrupted

        def directory(kind):
            return lambda: str(host.folder / kind)

        return {
            "comfy.utils": {"ProgressBar": ProgressBar},
            "comfy.model_management": {
                "throw_exception_if_processing_interrupted": (
                    throw_exception_if_processing_interrupted
                ),
                "processing_interrupted": lambda: host.interrupted,
                "get_torch_device": lambda: torch.device("cpu"),
            },
            "folder_paths": {
                f"get_{kind}_directory": directory(kind) for kind in ("output", "input", "temp")
            },
        }


@pytest.fixture
def nodes():
    """The nodes by their names, loaded as ComfyUI loads a folder."""
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module.NODE_CLASS_MAPPINGS
    for each in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[each]


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A stand-in for ComfyUI, in place of its modules."""
    host = Host(tmp_path)
    for name, members in host.modules().items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return host


def call(node, **inputs):
    """Run a node as ComfyUI does: one new object, inside inference mode, inputs by name."""
    types_of = node.INPUT_TYPES()
    known = {**types_of["required"], **types_of.get("optional", {})}
    assert inputs.keys() <= known.keys()
    assert types_of["required"].keys() <= inputs.keys()
    with torch.inference_mode():
        inputs = {
            name: value.clone() if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        result = getattr(node(), node.FUNCTION)(**inputs)
    outputs = result["result"] if isinstance(result, dict) else result
    assert len(outputs) == len(node.RETURN_TYPES)
    for kind, value in zip(node.RETURN_TYPES, outputs, strict=True):
        if kind == "IMAGE":
            assert value.dtype == torch.float32
            assert value.ndim == 4
            assert 0 <= value.min() <= value.max() <= 1
    return outputs


def paint(nodes, **inputs):
    """Run Style, with advanced options from their own node; returns the IMAGE."""
    known = nodes["ImpastoStyleAdvanced"].INPUT_TYPES()["optional"]
    options = {name: inputs.pop(name) for name in list(inputs) if name in known}
    [advanced] = call(nodes["ImpastoStyleAdvanced"], **options)
    [painted] = call(nodes["ImpastoStyle"], advanced=advanced, **inputs)
    return painted


def test_every_node_says_what_comfyui_asks(nodes):
    assert len(nodes) == 11
    for node in nodes.values():
        inputs = node.INPUT_TYPES()
        json.dumps(inputs)  # as /object_info sends them
        assert callable(getattr(node, node.FUNCTION))
        for name, (kind, settings) in {**inputs["required"], **inputs.get("optional", {})}.items():
            assert kind == "IMPASTO_MODEL" or settings["tooltip"], name
            assert settings.get("control_after_generate", False) is False  # seeds stay
            if kind in ("INT", "FLOAT"):
                assert settings["min"] <= settings["default"] <= settings["max"]
            elif isinstance(kind, list):
                assert settings["default"] in kind


def test_widgets_are_the_recipes_options(nodes):
    basic = nodes["ImpastoStyle"].INPUT_TYPES()["optional"]
    advanced = nodes["ImpastoStyleAdvanced"].INPUT_TYPES()["optional"]
    assert not basic.keys() & advanced.keys()
    widgets = basic | advanced
    left_out = {"version", "weights", "range", "rate", "crossfade"}
    assert FilmRecipe.model_fields.keys() - widgets.keys() == left_out
    kind, settings = widgets["strength"]
    assert (kind, settings["default"], settings["min"], settings["max"]) == ("FLOAT", 0.5, 0, 1)
    assert settings["tooltip"] == StyleRecipe.model_fields["strength"].description
    assert "strength" in basic
    assert advanced["steps"][1]["tooltip"].endswith("0 stands for `auto`")
    clean = nodes["ImpastoDenoise"].INPUT_TYPES()["optional"]
    assert DenoiseRecipe.model_fields.keys() - clean.keys() == {
        "version", "axes", "crop", "across", "joint",
    }  # fmt: skip


def test_widgets_left_alone_are_the_recipes_defaults(nodes):
    read = sys.modules[nodes["ImpastoStyle"].__module__].read_widgets
    for model, name in ((StyleRecipe, "ImpastoStyle"), (DenoiseRecipe, "ImpastoDenoise")):
        widgets = dict(nodes[name].INPUT_TYPES()["optional"])
        if f"{name}Advanced" in nodes:
            widgets |= nodes[f"{name}Advanced"].INPUT_TYPES()["optional"]
        values = {
            option: widgets[option][1]["default"]
            for option in model.model_fields
            if option in widgets
        }
        assert read(model, values) == {}
    assert read(DenoiseRecipe, {"chroma": 0.0, "sigma": 0.1}) == {"chroma": 0.0, "sigma": 0.1}
    layers = {"relu1_1": 1.0, "relu2_1": 0.5}
    assert read(StyleRecipe, {"style_layers": "relu1_1, relu2_1:0.5"}) == {"style_layers": layers}


def test_style_paints_a_batch_and_shows_it(nodes, host):
    painted = paint(nodes, content=PHOTO.expand(2, -1, -1, -1), style=STYLE,
                     **QUICK)  # fmt: skip
    assert painted.shape == (2, 32, 48, 3)
    alone = impasto.stylize(PHOTO[0].movedim(-1, 0), STYLE[0].movedim(-1, 0), **QUICK)
    assert torch.equal(painted[0], painted[1])
    assert torch.allclose(painted[0].movedim(-1, 0), alone.pixels, atol=1e-6)
    assert host.reports == sorted(host.reports)
    assert host.reports[-1] == 1
    kind, preview, side = host.previews[0]
    assert (kind, side) == ("JPEG", 512)
    assert preview.size == (48, 32)


def test_regions_protect_and_further_styles(nodes, host):
    left = torch.zeros(1, 32, 48)
    left[..., :24] = 1
    [more] = call(nodes["ImpastoMoreStyles"], style=1 - STYLE, weight=2.0)
    painted = paint(
        nodes,
        content=PHOTO,
        style=STYLE,
        region=left,
        more_styles=more,
        protect=1 - left,
        **QUICK,
    )
    assert torch.allclose(painted[..., 24:, :], PHOTO[..., 24:, :], atol=1e-6)
    assert not torch.allclose(painted[..., :24, :], PHOTO[..., :24, :], atol=0.05)


def test_the_black_mask_of_a_picture_without_one_is_none(nodes, host):
    painted = paint(nodes, content=PHOTO, style=STYLE, protect=torch.zeros(1, 64, 64), **QUICK)
    assert painted.shape == (1, 32, 48, 3)


def test_transparency_stays(nodes, host):
    alpha = torch.ones(1, 32, 48, 1)
    alpha[:, :16] = 0
    painted = paint(nodes, content=torch.cat([PHOTO, alpha], -1), style=STYLE, **QUICK)
    assert painted.shape == (1, 32, 48, 4)
    assert torch.equal(painted[..., 3:], alpha)


def test_a_preset_gives_what_is_left_at_its_default(nodes, host):
    module = sys.modules[nodes["ImpastoStyle"].__module__]
    recipe = module._recipe(StyleRecipe, {"preset": "bold", "strength": 0.5, "size": 64})
    assert (recipe.strength, recipe.size, recipe.device) == (0.85, 64, "cpu")


def test_denoise_gives_picture_noise_and_words(nodes, host):
    ramp = torch.linspace(0.2, 0.8, 64).expand(1, 64, 64)[..., None].expand(-1, -1, -1, 3)
    noisy = (ramp + 0.08 * torch.randn(ramp.shape, generator=GENERATOR)).clamp(0, 1)
    clean, noise, words = call(nodes["ImpastoDenoise"], image=noisy, effort="quick", device="cpu")
    assert (clean - ramp).square().mean() < 0.2 * (noisy - ramp).square().mean()
    assert torch.allclose(noise, 0.5 + noisy - clean, atol=1e-6)
    assert "noise" in words.lower()


def test_frames_are_a_film(nodes, host):
    pytest.importorskip("cv2")
    ramp = torch.linspace(0.2, 0.8, 64).expand(3, 48, 64)[..., None].expand(-1, -1, -1, 3)
    noisy = (ramp + 0.08 * torch.randn(ramp.shape, generator=GENERATOR)).clamp(0, 1)
    options = {"batch": "frames", "device": "cpu"}
    clean, _, words = call(nodes["ImpastoDenoise"], image=noisy, effort="quick", **options)
    assert clean.shape == noisy.shape
    assert (clean - ramp).square().mean() < 0.2 * (noisy - ramp).square().mean()
    assert "frames next to each" in words
    masks = torch.zeros(3, 48, 64)
    masks[:, :24] = 1
    masks[2, :36] = 1
    film = paint(nodes, content=noisy, style=STYLE, protect=masks,
                  **options, size=64, steps=3)  # fmt: skip
    assert film.shape == noisy.shape
    # Frames of films have 8 bits.
    assert torch.allclose(film[2, :36], noisy[2, :36], atol=0.003)
    assert host.reports[-1] == 1
    assert os.listdir(host.folder / "temp") == []


def test_texture_fit_save_load_and_apply(nodes, host):
    [advanced] = call(nodes["ImpastoTextureAdvanced"], steps=2)
    [texture] = call(nodes["ImpastoTexture"], style=STYLE, width=64, height=80, advanced=advanced)
    assert texture.shape == (1, 80, 64, 3)
    [advanced] = call(nodes["ImpastoFitAdvanced"], steps=1)
    [model] = call(nodes["ImpastoFit"], photographs=PHOTO, style=STYLE, size=64, advanced=advanced)
    [path] = call(nodes["ImpastoSaveModel"], model=model, path="mine/a.impasto")
    assert Path(path) == host.folder / "output" / "mine" / "a.impasto"
    load = nodes["ImpastoLoadModel"]
    assert load.VALIDATE_INPUTS("mine/a.impasto") is True
    before = load.IS_CHANGED("mine/a.impasto")
    [again] = call(load, path="mine/a.impasto")
    [painted] = call(nodes["ImpastoApply"], image=PHOTO.expand(2, -1, -1, -1), model=again)
    assert painted.shape == (2, 32, 48, 3)
    [unsaved] = call(nodes["ImpastoApply"], image=PHOTO, model=model)
    assert torch.allclose(painted[:1], unsaved, atol=0.01)  # files hold half precision
    with pytest.raises(impasto.ImageError, match="overwritten"):
        call(nodes["ImpastoSaveModel"], model=model, path="mine/a.impasto")
    os.utime(path, ns=(0, 0))
    assert load.IS_CHANGED("mine/a.impasto") != before


def test_a_models_file_lies_in_comfyuis_folders(nodes, host):
    load = nodes["ImpastoLoadModel"]
    assert "must lie in ComfyUI's output or input folder" in load.VALIDATE_INPUTS("../a.impasto")
    assert "must end in .impasto" in load.VALIDATE_INPUTS("a.safetensors")
    assert "a.impasto" in load.VALIDATE_INPUTS("a.impasto")  # which is not there
    assert load.VALIDATE_INPUTS(None) is True  # it comes from another node
    assert load.IS_CHANGED(None) == ""
    with pytest.raises(ValueError, match="must lie in ComfyUI's output folder"):
        call(nodes["ImpastoSaveModel"], model=None, path="/a.impasto")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 5}, r"^`size` must be at least 16, got 5; see the tooltips of the node$"),
        ({"style_layers": ""}, "^`style_layers` must name at least one layer"),
        ({"batch": "frames", "denoise": "after"}, "^`denoise` must be"),
        ({"temporal_weight": -1.0}, "^`temporal_weight` must be at least 0"),
        ({"protect": torch.ones(2, 32, 48)}, "^`protect` must be one MASK, or one for each of 1"),
        ({"protect": torch.ones(1, 32, 99)}, "^`protect` must have the shape of the content"),
        ({"content": PHOTO * float("nan")}, "^`content` must be finite"),
        ({"content": PHOTO[0]}, r"^`content` must be an IMAGE \(B, H, W, C\)"),
    ],
)
def test_bad_input_is_one_sentence_before_any_work(nodes, host, options, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        paint(nodes, **{"content": PHOTO, "style": STYLE, **options})
    assert "\n" not in str(error.value)
    assert host.reports == []


@pytest.mark.parametrize("batch", ["pictures", "frames"])
def test_an_interruption_ends_in_comfyuis_own_exception(nodes, host, batch):
    if batch == "frames":
        pytest.importorskip("cv2")
    host.interrupt_at = 1
    with pytest.raises(Interrupted):
        paint(nodes, content=PHOTO.expand(3, -1, -1, -1), style=STYLE,
             batch=batch, **QUICK)  # fmt: skip
    assert not host.interrupted
    if batch == "frames":
        assert os.listdir(host.folder / "temp") == []


def test_the_host_is_as_it_was(nodes, host):
    filters, threads = list(warnings.filters), torch.get_num_threads()
    content = PHOTO.clone()
    paint(nodes, content=content, style=STYLE, **QUICK)
    assert torch.equal(content, PHOTO)
    assert (list(warnings.filters), torch.get_num_threads()) == (filters, threads)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_nodes_work_outside_of_comfyui(nodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    painted = paint(nodes, content=PHOTO, style=STYLE, **QUICK)
    assert painted.shape == (1, 32, 48, 3)


def test_the_registrys_file_names_this_version():
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == impasto.__version__
    assert project["tool"]["comfy"]["DisplayName"] == "impasto"
    requirements = (FOLDER / "requirements.txt").read_text(encoding="utf-8").split()
    assert project["project"]["dependencies"] == requirements
