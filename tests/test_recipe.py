"""Recipes: strict, frozen, unchanged by JSON, and clear about what is wrong."""

import inspect
import json
import math

import pytest

import impasto
from impasto.errors import OptionError
from impasto.presets import PRESETS, read_presets, style_recipe, style_recipe_of
from impasto.provenance import read_provenance
from impasto.recipes import LAYERS, DenoiseRecipe, ReconstructRecipe, StyleRecipe, TextureRecipe
from impasto.validation import describe_constraint, validate


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_survives_json(preset):
    recipe = style_recipe(preset)
    assert read_provenance(recipe.model_dump_json()).recipe == recipe


def test_a_reconstruction_recipe_survives_json():
    recipe = ReconstructRecipe(layer="conv2_1", kind="texture")
    assert read_provenance(recipe.model_dump_json()).recipe == recipe


def test_every_option_says_what_it_does():
    for model in (StyleRecipe, TextureRecipe, ReconstructRecipe, DenoiseRecipe):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"


def test_an_option_given_beats_the_preset():
    assert style_recipe("gatys", steps=7).steps == 7
    assert style_recipe("gatys").steps == 500


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"statistic": "gram"}, ("gram", "relative")),
        ({"statistic": "gram+mean+std"}, ("gram+mean+std", "relative")),
        ({"statistic": "wasserstein", "normalization": "relative"}, ("wasserstein", "relative")),
        ({"statistic": "gram", "normalization": "paper"}, ("gram-paper", "paper")),
        ({"statistic": "gram", "normalization": "notebook"}, ("gram-notebook", "mse")),
        ({"preset": "gatys", "statistic": "gram"}, ("gram-paper", "paper")),
        ({"preset": "gatys", "normalization": "relative"}, ("gram", "relative")),
    ],
)
def test_loss_options_of_earlier_versions_are_still_read(old, new):
    recipe = style_recipe(**old)
    assert (recipe.style_loss, recipe.content_loss) == new
    fields = recipe.model_dump(exclude={"style_loss", "content_loss"})
    stored = {**fields, "statistic": "gram", "normalization": "notebook"}
    again = read_provenance(json.dumps(stored)).recipe
    assert (again.style_loss, again.content_loss) == ("gram-notebook", "mse")


@pytest.mark.parametrize(
    "old",
    [
        {"normalization": "paper"},
        {"statistic": "gram+mean+std", "normalization": "notebook"},
        {"statistic": "gramm"},
        {"statistic": ["gram"]},
        {"preset": "notebook", "statistic": "wasserstein"},
    ],
)
def test_old_loss_options_that_no_version_computed_are_refused_by_the_new_ones_name(old):
    with pytest.raises(ValueError, match="`style_loss` must be one of wasserstein, gram,") as said:
        style_recipe(**old)
    assert str(said.value).endswith("choose a style_loss")


def test_a_presets_file_of_an_earlier_version_is_still_read(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[mine]\nstatistic = "gram"\nnormalization = "paper"')
    presets = read_presets(file)
    recipe = style_recipe("mine", presets=presets)
    assert (recipe.style_loss, recipe.content_loss) == ("gram-paper", "paper")
    assert style_recipe("mine", presets=presets, style_loss="wasserstein").style_loss == (
        "wasserstein"
    )


def test_a_texture_of_an_earlier_version_is_still_read():
    recipe = read_provenance('{"tileable": true, "statistic": "gram"}').recipe
    assert recipe == TextureRecipe(tileable=True, style_loss="gram")


def test_layers_are_vgg19s_sixteen_convolutions_before_and_after_the_relu():
    assert len(LAYERS) == 32
    assert LAYERS[0] == "conv1_1"
    assert LAYERS[-1] == "relu5_4"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 2}, "`strength` must be at most 1, got 2"),
        ({"strength": math.nan}, "`strength` must be a finite number, got nan"),
        ({"strnegth": 1}, "did you mean strength?"),
        ({"content_layers": {"relu4_9": 1}}, "got 'relu4_9'; did you mean relu4_4?"),
        ({"style_layers": {"relu4_1": -1}}, "the weight of relu4_1 must be at least 0, got -1"),
        ({"style_layers": {"relu4_1": math.nan}}, "relu4_1 must be a finite number, got nan"),
        ({"style_weight": -1.0}, "`style_weight` must be at least 0, got -1.0"),
        ({"content_weight": math.inf}, "`content_weight` must be a finite number, got inf"),
        ({"device": "gpu"}, "`device` must be one of auto, cpu, cuda, cuda:N, mps, got 'gpu'"),
        ({"size": 3}, "`size` must be at least 16, got 3"),
        ({"size": "orignal"}, "did you mean original?"),
        ({"init": "nois"}, "did you mean noise?"),
        ({"preset": "gatis"}, "did you mean gatys?"),
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
    ],
)
def test_a_wrong_option_gets_one_sentence(options, said):
    with pytest.raises(ValueError, match=r"must be|must name") as caught:
        style_recipe(**options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_of_a_later_version_is_refused():
    text = style_recipe().model_dump_json().replace('"version":1', '"version":2')
    with pytest.raises(ValueError, match=r"`version` must be 1, got 2: .*later impasto"):
        read_provenance(text)


def test_text_that_is_no_recipe_is_refused():
    with pytest.raises(ValueError, match=r"must be a JSON object, got '\{'"):
        read_provenance("{")


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        style_recipe().steps = 3


def test_signatures_show_every_option_with_its_default():
    shown = inspect.signature(impasto.stylize).parameters
    for name, field in StyleRecipe.model_fields.items():
        if name != "version":
            assert shown[name].default == field.get_default(call_default_factory=True)
    assert set(ReconstructRecipe.model_fields) - {"version"} < set(
        inspect.signature(impasto.reconstruct).parameters
    )


def test_checked_names_the_model_for_a_hopeless_typo():
    with pytest.raises(ValueError, match="option of ReconstructRecipe"):
        validate(ReconstructRecipe, {"qqqqqq": 1})


def numbers_of(model):
    """Every option of a recipe that a number can be given for, with one number of it."""
    for name, field in model.model_fields.items():
        words = describe_constraint(field)
        if name != "version" and ("number" in words or "weights" in words):
            yield (
                name,
                lambda value, words=words: (
                    {"relu4_1": value}
                    if "weights" in words
                    else [value]
                    if "more numbers" in words
                    else value
                ),
            )


@pytest.mark.parametrize("model", [StyleRecipe, TextureRecipe, ReconstructRecipe, DenoiseRecipe])
@pytest.mark.parametrize(
    "number",
    [
        *(1e300, -1e300, 10**400, math.inf, -math.inf, math.nan, True, False),
        pytest.param(10**5000, id="too long for a text"),
    ],
)
def test_every_number_has_bounds_on_both_sides(model, number):
    for name, shape in numbers_of(model):
        with pytest.raises(OptionError, match=f"`{name}`.* must be ") as caught:
            validate(model, {name: shape(number)})
        assert len(str(caught.value)) < 600


def test_the_bounds_are_wide():
    recipe = StyleRecipe(style_weight=1e9, style_layers={"relu1_1": 1e6}, memory=1e6)
    assert recipe.style_weight == 1e9
    assert DenoiseRecipe(sigma=1e12).sigma == 1e12


@pytest.mark.parametrize("value", [[], {}, [[]], {"a": []}, None, 1.5, True, "x", 10**400])
@pytest.mark.parametrize(
    "name", ["preset", "presets", "style_loss", "statistic", "normalization", "method", "init"]
)
def test_a_value_that_cannot_be_looked_up_is_one_sentence(name, value):
    for options in ({name: value}, {"statistic": "gram", name: value}):
        if name == "style_loss" and "statistic" in options and not isinstance(value, (list, dict)):
            continue  # replaced by what the older option says
        with pytest.raises(ValueError, match=r"^`[a-z_]+` must be ") as caught:
            style_recipe_of(options)
        assert "unhashable" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"steps": 3, "steps": 4}', "the key steps stands twice in it"),
        ('{"preset": "\\ud800"}', "half a character stands in it"),
        ('{"steps": ' + "9" * 5000 + "}", "a number in it has 5,000 digits"),
        ('{"a": ' * 60 + "1" + "}" * 60, "lists or objects are nested too deeply in it"),
        ("[" * 100_000, "lists or objects are nested too deeply in it"),
        ("[1]", "it is not an object"),
    ],
)
def test_json_that_no_sentence_could_show_is_refused_with_the_reason(tmp_path, text, reason):
    with pytest.raises(ValueError, match="must be a JSON object, got") as caught:
        read_provenance(text)
    assert reason in str(caught.value)
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="`presets` must be a readable TOML or JSON file"):
        read_presets(file)
