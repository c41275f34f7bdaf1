"""`stylize`: cleaning before and after painting, and saying what was done."""

import numpy as np
import pytest
import torch

import impasto
from impasto.images.image import Image, ImageMetadata
from impasto.recipes import DenoiseRecipe, StyleRecipe
from impasto.result import Losses, Result
from impasto.validation import validate

SMALL = torch.rand(1, 24, 24, generator=torch.manual_seed(0)).expand(3, 24, 24)


@pytest.fixture
def painted(monkeypatch):
    """What the stand-in for painting was given; it gives the content back."""
    seen = []

    def stylize(content, style, *, recipe, init_image, protect, keep, on_step, checkpoint, stop):
        seen.append((content, recipe))
        picture = impasto.open_image(content)
        one = Losses(total=1.0, content=0.5, style=0.5)
        stopped = on_step is not None
        facts = (recipe, (one,), (0,), one, 1, 2.0, "cpu", "float32", stopped)
        return Result(picture.pixels, ImageMetadata(dpi=(72.0, 72.0)), *facts)

    monkeypatch.setattr("impasto.api.transfer_style", stylize)
    monkeypatch.setattr("impasto.api.plan_style", lambda *_, **__: seen.append("plan"))
    return seen


def noisy():
    """A gray picture with noise."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((24, 24))
    return (0.5 + noise).clip(0, 1)


def cleaned(pixels):
    return impasto.denoise(Image(pixels), recipe=DenoiseRecipe()).pixels


@pytest.mark.parametrize("word", ["no", "before", "after", "both"])
def test_it_cleans_before_after_both_or_not(painted, word):
    given = impasto.open_image(noisy()).pixels
    result = impasto.stylize(noisy(), SMALL, denoise=word)
    assert painted[0] == "plan" or word in ("no", "after")
    content, recipe = painted[-1]
    assert recipe.denoise == "no"
    before = impasto.open_image(content).pixels
    first = cleaned(given) if word in ("before", "both") else given
    assert torch.equal(before, first)
    assert torch.equal(result.pixels, cleaned(first) if word in ("after", "both") else first)
    assert result.recipe == validate(StyleRecipe, {"denoise": word})
    assert (result.seconds > 2) == (word != "no")
    assert result.metadata.dpi == (72.0, 72.0)


@pytest.mark.parametrize(("word", "said"), [("after", "no"), ("both", "before")])
def test_a_painting_ended_early_is_left_as_it_is_and_says_so(painted, word, said):
    result = impasto.stylize(noisy(), SMALL, denoise=word, on_step=lambda step: None)
    assert result.stopped
    assert result.recipe.denoise == said
    assert torch.equal(result.pixels, impasto.open_image(painted[-1][0]).pixels)


def test_opacity_of_the_content_is_painted_too(painted):
    picture = impasto.open_image(np.dstack([noisy(), noisy()]))
    impasto.stylize(picture, SMALL, denoise="before")
    assert torch.equal(painted[-1][0].metadata.alpha, picture.metadata.alpha)


def test_an_unknown_word_is_refused():
    with pytest.raises(ValueError, match="`denoise` must be one of no, before, after, both"):
        impasto.stylize(SMALL, SMALL, denoise="always")
