"""Applying a model: sizes, metadata, options, provenance, and how unlike a picture is."""

from dataclasses import replace

import pytest
import torch
from model_makers import fitted, picture

import impasto
from impasto.images.image import Image, ImageMetadata
from impasto.images.read import open_image
from impasto.models.model import UNLIKE
from impasto.models.painting_losses import measure_painting
from impasto.replay import rerun


@pytest.fixture(scope="module")
def result():
    return fitted(steps=8)


@pytest.fixture(scope="module")
def model(result):
    return result.model


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (100, 48), (250, 90)])
def test_any_size_is_painted(model, size):
    painted = model(torch.rand(3, size[1], size[0]))
    assert painted.size == size
    assert painted.pixels.min() >= 0
    assert painted.pixels.max() <= 1


def test_another_size_may_be_asked_for(model):
    assert model(picture(4), size=128).size == (128, 96)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        model(torch.rand(3, 12, 40))


def test_a_large_picture_is_measured_in_parts_and_painted_in_tiles(model):
    steps = []
    impasto.apply(torch.rand(3, 1100, 1300), model, on_step=steps.append)
    assert [step.evaluation for step in steps] == [1, 2, 3, 4]
    assert steps[-1].left == 0
    assert steps[0].losses is None


def test_a_stop_leaves_the_rest_as_it_was(model):
    content = torch.rand(3, 40, 1500)

    def interrupt(step):
        raise StopIteration

    result = impasto.apply(content, model, on_step=interrupt)
    assert result.stopped
    assert torch.equal(result.pixels[..., 1024:], content[..., 1024:])
    assert impasto.apply(content, model, stop=lambda: True).stopped


def test_the_amount_and_the_colors_can_be_dialed(model):
    content = picture(4)
    painted = model(content).pixels
    assert torch.equal(model(content, amount=0.0).pixels, content)
    half = model(content, amount=0.5).pixels
    assert torch.allclose(half, (content + painted) / 2, atol=1e-6)
    colors = model(content, color=0.0).pixels
    red = (content - content.mean(0)).flatten()
    assert torch.dot((colors - colors.mean(0)).flatten(), red) > torch.dot(
        (painted - painted.mean(0)).flatten(), red
    )


def test_the_seed_changes_the_strokes_and_nothing_else_does(model):
    first, again, other = (model(picture(4), seed=seed).pixels for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_alpha_and_depth_are_kept(model, tmp_path):
    alpha = torch.zeros(48, 64)
    alpha[:, :32] = 1
    metadata = ImageMetadata(alpha=alpha, bits=16, dpi=(300, 300))
    painted = model(Image(picture(4), metadata))
    path = painted.save(tmp_path / "painted.png")
    image = open_image(path, name="file")
    assert torch.equal(image.metadata.alpha, alpha)
    assert image.metadata.bits == 16
    assert image.metadata.dpi == pytest.approx((300, 300), abs=0.1)


def test_a_painting_tells_how_it_was_made_and_is_made_again(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result.save("oil.impasto")
    impasto.save(picture(4), "photo.png", metadata=ImageMetadata())
    painted = impasto.apply("photo.png", "oil.impasto", color=0.5)
    provenance = painted.provenance()
    assert provenance.method == "apply"
    assert provenance.inputs.model.name == "oil.impasto"
    assert provenance.inputs.content.name == "photo.png"
    again = rerun(painted.save("painted.png"))
    assert torch.equal(again.pixels, painted.pixels)


def test_a_gray_style_keeps_a_gray_picture_gray():
    gray = picture(3).mean(0, keepdim=True)
    model = impasto.fit(picture(1), gray, size=64, steps=1, device="cpu").model
    pixels = model(picture(4).mean(0, keepdim=True)).pixels
    assert torch.equal(pixels[0], pixels[1])


def test_noise_is_more_unlike_the_pictures_of_the_fit_than_they_are(model):
    of_the_fit = [model(picture(seed)).unlikeness for seed in (1, 2)]
    assert max(of_the_fit) <= 1.1
    noise = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    assert model(noise).unlikeness > UNLIKE


def test_a_painting_is_measured_by_the_losses_of_the_fit(model):
    content = picture(1)
    losses, reached = measure_painting(model(content), content, model, picture(3))
    assert losses["style"] == pytest.approx(reached["style"], rel=0.5)
    empty = replace(model(content), pixels=torch.full((3, 48, 64), 0.5))
    assert measure_painting(empty, content, model, picture(3))[0]["style"] > losses["style"]
