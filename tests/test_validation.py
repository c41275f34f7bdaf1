"""Errors of options: one sentence for Python, worded anew by the command line and the server."""

import math
import pickle

import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from impasto.cli.options import option_errors
from impasto.errors import ImageError, ImageFileError, OptionError
from impasto.recipes import LAYERS, DenoiseRecipe, LayerWeights, StyleRecipe, TextureRecipe
from impasto.validation import did_you_mean, validate


def error_of(model, **options):
    """The error that some options cause."""
    with pytest.raises(OptionError) as caught:
        validate(model, options)
    return caught.value


def test_an_error_keeps_what_it_says_in_parts():
    error = error_of(StyleRecipe, strength=7)
    assert (error.option, error.value, error.constraint) == ("strength", 7, "be at most 1")
    assert (error.hint, error.recipe, error.part) == (None, "StyleRecipe", "")
    assert isinstance(error, ValueError)
    assert str(error) == "`strength` must be at most 1, got 7; see StyleRecipe for every option"


def test_each_front_end_words_the_way_out_itself():
    error = error_of(StyleRecipe, strength=7)
    for words in ("see `impasto style --help` for every option", "see /v1/options"):
        assert error.sentence(words) == f"`strength` must be at most 1, got 7; {words}"
    said = "`width` must be at least 64, got 1; see `impasto texture --help` for every option"
    assert option_errors(error_of(TextureRecipe, width=1)) == said
    assert option_errors(ValueError("see StyleRecipe for every option")) == (
        "see StyleRecipe for every option"
    )


def test_a_hint_of_its_own_stands_in_every_front_end():
    error = error_of(StyleRecipe, strenght=1)
    said = "`strenght` must be an option of StyleRecipe, got 1; did you mean strength?"
    assert str(error) == error.sentence("see elsewhere") == option_errors(error) == said
    assert error_of(DenoiseRecipe, qqqq=1).hint.startswith("choose from version, method, effort")


def test_the_place_of_an_option_comes_last():
    error = error_of(StyleRecipe, strength=7).at("preset loud of mine.toml")
    assert str(error).endswith("see StyleRecipe for every option, in preset loud of mine.toml")
    assert error.sentence("see x").endswith("got 7; see x, in preset loud of mine.toml")


@pytest.mark.parametrize(
    ("weights", "constraint", "part"),
    [
        ({"relu4_1": -1}, "be at least 0", "the weight of relu4_1"),
        ({"relu4_1": math.nan}, "be a finite number", "the weight of relu4_1"),
        ({"relu4_1": "much"}, "be a finite number", "the weight of relu4_1"),
        ({"relu9_1": 1}, "name layers of VGG-19, conv1_1 to relu5_4", ""),
        ("relu4_1", "be layer names with their weights", ""),
    ],
)
def test_an_error_in_layers_is_told_by_the_type_of_the_option_not_by_its_name(
    weights, constraint, part
):
    class Recipe(BaseModel):
        model_config = ConfigDict(allow_inf_nan=False)
        depths: LayerWeights = {}

    error = error_of(Recipe, depths=weights)
    assert (error.option, error.constraint, error.part) == ("depths", constraint, part)


def test_a_layer_that_is_like_none_gets_an_example():
    assert error_of(StyleRecipe, style_layers={"": 1}).hint == "for example relu4_2"
    assert error_of(StyleRecipe, style_layers={"relu4_9": 1}).value == "relu4_9"


def test_a_recipes_own_validator_words_its_own_sentence():
    class Recipe(BaseModel):
        size: int

        @field_validator("size")
        @classmethod
        def _even(cls, size):
            if size % 2:
                raise ValueError("`size` must be even, got odd; add 1")
            return size

    with pytest.raises(ValueError, match=r"^`size` must be even, got odd; add 1$"):
        validate(Recipe, {"size": 3})


@pytest.mark.parametrize(
    "error",
    [
        OptionError("a", 1, "be 2", None, "StyleRecipe", "the weight of b", "here"),
        ImageFileError("content", "be a readable stack", "/tmp/a.png", ": it is a PDF; go"),
    ],
)
def test_errors_come_whole_out_of_another_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_file_can_be_called_by_another_name():
    words = ("content", "be a readable picture", "/jobs/1/content.png", ": it is cut short")
    error = ImageFileError(*words)
    assert isinstance(error, ImageError)
    assert "/jobs/1/content.png" in str(error)
    said = "`content` must be a readable picture, got cat.png: it is cut short"
    assert error.sentence(file="cat.png") == said


def test_a_name_like_none_gets_no_suggestion():
    assert did_you_mean("relu4_9", LAYERS) == "; did you mean relu4_4?"
    assert did_you_mean("", LAYERS) == ""
