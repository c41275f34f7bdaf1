"""`denoise`, `denoise_stack` and `diagnose` from outside."""

import numpy as np
import pytest
import tifffile
import torch
from torch.nn import functional as F

import impasto
from impasto.denoising.fitted import METHODS
from impasto.errors import ImpastoError
from impasto.images.image import Image, ImageMetadata
from impasto.images.xmp import from_xmp
from impasto.metrics import psnr
from impasto.provenance import read_provenance
from impasto.recipes import DenoiseRecipe
from impasto.synthetic_noise import add_noise


def drawing(channels=3, side=48):
    """Shades with an edge, in [0.2, 0.8]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    return torch.stack(
        [0.2 + 0.3 * (x > 0.5) + 0.3 * y * (c + 1) / channels for c in range(channels)]
    )


def gaussian(clean, sigma=0.1, seed=0):
    """A drawing with white noise that is not cut off."""
    return clean + sigma * torch.randn(clean.shape, generator=torch.manual_seed(seed))


@pytest.mark.parametrize("effort", ["quick", "balanced"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_gaussian_noise_is_taken_away(effort, channels):
    clean = drawing(channels)
    noisy = gaussian(clean)
    result = impasto.denoise(noisy, effort=effort)
    assert psnr(result.pixels, clean) > psnr(noisy, clean) + 8
    assert result.method == "nl-wiener"


def test_counted_photons_are_told_and_taken_away():
    clean = drawing(3, 96)
    noisy = add_noise(clean, poisson=30)
    result = impasto.denoise(noisy)
    assert result.diagnosis.kind == "poisson-gaussian"
    assert result.diagnosis.gain == pytest.approx(1 / 30, rel=0.25)
    assert psnr(result.pixels, clean) > psnr(noisy, clean) + 8


def test_noise_that_neighbors_share_is_told_and_taken_away():
    clean = drawing(3, 96)
    blur = torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 6
    wide = torch.randn(3, 1, 98, 98, generator=torch.manual_seed(0))
    noisy = clean + 0.05 * F.conv2d(wide, blur[None, None])[:, 0]
    result = impasto.denoise(Image(noisy.clamp(0, 1)))
    assert result.diagnosis.kind == "correlated"
    assert result.diagnosis.correlation > 0.3
    assert psnr(result.pixels, clean) > psnr(noisy, clean) + 5


def test_a_clean_picture_comes_back_bit_for_bit():
    clean = drawing(3, 64)
    result = impasto.denoise(Image(clean))
    assert result.diagnosis.kind == "clean"
    assert "nothing is to be done" in result.diagnosis.words
    assert torch.equal(result.pixels, clean)


@pytest.mark.parametrize(("channels", "seed"), [(1, 3), (1, 4), (1, 8), (1, 9), (3, 4), (3, 9)])
def test_a_flat_drawing_is_not_taken_for_noise(channels, seed):
    side = 96
    generator = torch.manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    picture = torch.full((channels, side, side), 0.5)
    for _ in range(25):
        down, across, radius = torch.rand(3, generator=generator) * side
        inside = (y - down) ** 2 + (x - across) ** 2 < (0.15 * radius + 0.02 * side) ** 2
        picture[:, inside] = torch.rand(channels, 1, generator=generator)
    result = impasto.denoise(Image(picture))
    assert result.diagnosis.kind == "clean"
    assert torch.equal(result.pixels, picture)


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.2])
def test_sigma_is_found(sigma):
    noisy = gaussian(drawing(1, 96), sigma)
    diagnosis = impasto.diagnose(noisy)
    assert diagnosis.kind == "gaussian"
    assert diagnosis.sigma[0] == pytest.approx(sigma, rel=0.12)
    assert diagnosis.words.startswith("Gaussian noise")


def test_clipped_noise_is_not_taken_for_light():
    clean = torch.full((1, 96, 96), 0.05)
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))).clamp(0, 1)
    result = impasto.denoise(Image(noisy))
    assert result.diagnosis.clipped[0]
    assert abs(result.pixels.mean() - 0.05) < 0.5 * abs(noisy.mean() - 0.05)


def test_strength_is_turned_without_a_new_run():
    noisy = gaussian(drawing())
    result = impasto.denoise(noisy, sigma=0.1)
    assert torch.equal(result.at(0).pixels, noisy)
    assert torch.equal(result.at(1).pixels, result.clean)
    half = (noisy + result.clean) / 2
    assert torch.allclose(result.at(0.5).pixels, half, atol=1e-6)
    colors = result.at(0, chroma=1).pixels
    assert torch.allclose(colors.mean(0), noisy.mean(0), atol=1e-6)
    assert not torch.allclose(colors, noisy, atol=1e-3)
    assert torch.allclose(result.pixels + result.residual, noisy, atol=1e-6)
    with pytest.raises(ValueError, match="`strength` must be"):
        result.at(2)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("u1", 60, 90), ("<u2", 900, 1200), (">u2", 900, 1200), ("i4", -500, 500), ("f8", 3e3, 4e3)],
)
def test_data_comes_back_in_its_own_kind(dtype, low, high):
    shade = np.linspace(low, high, 32)[:, None] + np.zeros((32, 32))
    noise = np.random.default_rng(0).normal(size=(32, 32)) * (high - low) / 10
    data = (shade + noise).astype(dtype)
    copy = data.copy()
    result = impasto.denoise(data, sigma="auto")
    array = result.array()
    assert array.dtype == data.dtype
    assert array.shape == data.shape
    assert np.array_equal(data, copy)
    error, before = (np.abs(values.astype(float) - shade).mean() for values in (array, data))
    assert error < 0.6 * before


def test_a_stack_is_cleaned_plane_by_plane(tmp_path):
    stack = np.stack([gaussian(drawing(2, 24), 0.05).numpy() + step for step in (0, 1, 2)])
    result = impasto.denoise(stack, axes="TCYX", sigma=0.05, across="none")
    assert result.pixels.shape == (3, 2, 24, 24)
    alone = impasto.denoise(stack[1], axes="CYX", sigma=0.05)
    assert torch.allclose(result.pixels[1], alone.pixels, atol=1e-6)
    options = {"axes": "TCYX", "sigma": 0.05, "across": "none"}
    path = impasto.denoise_stack(stack, tmp_path / "clean.tif", **options)
    again = impasto.denoise(path, axes="TCYX", strength=0).array()
    assert np.allclose(again, result.array(), atol=1e-6)


def mixed_stack():
    """Three planes, of which the middle one has no noise."""
    sigmas = enumerate((0.1, 0.0, 0.05))
    planes = [gaussian(drawing(1, 48), sigma, seed)[0].numpy() for seed, sigma in sigmas]
    return np.stack(planes).astype("f4")


def test_a_stack_is_told_plane_by_plane_and_as_it_is_done(tmp_path):
    stack, told = mixed_stack(), []
    result = impasto.denoise(stack, axes="ZYX")
    path = tmp_path / "clean.tif"
    impasto.denoise_stack(stack, path, axes="ZYX", on_diagnosis=told.append)
    changed = [bool((result.pixels[i] != result.noisy[i]).any()) for i in range(3)]
    assert changed == [True, False, True]
    asked = impasto.diagnose(stack, axes="ZYX")
    assert told[0].words == asked.words == result.diagnosis.words
    assert [plane.method for plane in result.diagnosis.planes] == ["nl-wiener", None, "nl-wiener"]
    assert result.method == result.diagnosis.method == "nl-wiener"
    assert "2 of 3 planes (1, 3): Gaussian noise" in asked.words
    assert "1 of 3 planes (2): no noise" in asked.words
    assert "nothing is to be done" not in asked.words
    with tifffile.TiffFile(path) as file:
        stored = read_provenance(from_xmp(file.pages[0].tags[700].value))
    for record in (result.provenance(), stored):
        treatments = [(t.planes, t.kind, t.method) for t in record.treatments]
        assert treatments == [("1, 3", "gaussian", "nl-wiener"), ("2", "clean", None)]


def test_planes_that_are_alike_are_told_together():
    stack = np.stack([gaussian(drawing(1, 48), sigma)[0].numpy() for sigma in (0.05, 0.1)])
    words = impasto.diagnose(stack, axes="ZYX").words
    assert words.startswith("all 2 planes: Gaussian noise")
    assert " to " in words
    joint = impasto.diagnose(stack, axes="ZYX", joint=True)
    assert joint.planes == ()
    many = np.stack([drawing(1, 24)[0].numpy()] * 9)
    assert impasto.diagnose(many, axes="ZYX").words.startswith(
        "of 9 planes 8 were examined; of these all 8 planes: no noise"
    )


@pytest.mark.parametrize(
    ("noise", "options", "end"),
    [
        (0, {}, "; nothing is to be done"),
        (0, {"method": "nl-wiener"}, "; nl-wiener is applied as asked"),
        (0.1, {"method": "nl-wiener"}, "; nl-wiener takes it away"),
        (0.1, {"strength": 0.5}, "; nl-wiener takes 50 % of it away"),
        (0.1, {"strength": 0}, "; at strength 0 nothing is taken away"),
        (0, {"sigma": 0.1}, ", as given; nl-wiener takes it away"),
        (
            0.1,
            {"strength": 0, "chroma": 1},
            "; nl-wiener takes 0 % in the light and 100 % in the colors of it away",
        ),
    ],
)
def test_words_end_with_what_is_done(noise, options, end):
    picture = Image(gaussian(drawing(3, 48), noise))
    assert impasto.diagnose(picture, **options).words.endswith(end)


def test_a_stopped_stack_tells_of_the_planes_it_reached():
    def end(step):
        raise StopIteration

    result = impasto.denoise(mixed_stack(), axes="ZYX", on_step=end)
    assert result.diagnosis.words.startswith("of 3 planes 1 was examined; of these 1 plane: Gauss")


def test_nothing_is_written_where_the_run_is_ended(tmp_path):
    def end(step):
        raise StopIteration

    noisy = gaussian(drawing(1, 24))
    result = impasto.denoise(noisy, sigma=0.1, on_step=end)
    assert result.stopped
    with pytest.raises(impasto.ImpastoError, match="nothing was written"):
        impasto.denoise_stack(noisy, tmp_path / "out.tif", sigma=0.1, on_step=end)
    assert not list(tmp_path.iterdir())


def test_steps_count_up_to_what_was_announced():
    steps = []
    impasto.denoise(gaussian(drawing(1, 24)), sigma=0.1, on_step=steps.append)
    assert [step.evaluation for step in steps] == list(range(1, steps[-1].evaluations + 1))
    assert steps[-1].left == 0


def test_opacity_and_recipe_go_into_the_file(tmp_path):
    alpha = torch.rand(24, 24, generator=torch.manual_seed(1))
    picture = Image(gaussian(drawing(3, 24)).clamp(0, 1), ImageMetadata(alpha=alpha))
    path = impasto.denoise(picture, sigma=0.1, strength=0.5).save(tmp_path / "out.png")
    back = impasto.open_image(path)
    assert torch.allclose(back.metadata.alpha, alpha, atol=1 / 255)
    recipe = read_provenance(back.metadata.recipe).recipe
    assert isinstance(recipe, DenoiseRecipe)
    assert recipe.strength == 0.5


def test_the_residual_is_written_as_signed_numbers_or_around_mid_gray(tmp_path):
    noisy = gaussian(drawing(3, 24)).clamp(0, 1)
    result = impasto.denoise(Image(noisy), sigma=0.1, strength=0.5)
    written = impasto.denoise(result.save_residual(tmp_path / "noise.tif"), strength=0).pixels
    assert torch.equal(written, result.residual)
    picture = impasto.open_image(result.save_residual(tmp_path / "noise.png")).pixels
    assert torch.allclose(picture, (0.5 + result.residual).clamp(0, 1), atol=0.51 / 255)
    with pytest.raises(impasto.ImageError, match="which exists"):
        result.save_residual(tmp_path / "noise.png")


def test_the_residual_of_measured_data_is_in_its_own_numbers(tmp_path):
    noise = np.random.default_rng(0).normal(size=(3, 24, 24)) * 40
    stack = (500 + noise).clip(0).astype("<u2")
    result = impasto.denoise(stack, axes="TYX", sigma=40 / 65535)
    path = result.save_residual(tmp_path / "noise.tif")
    written = impasto.denoise(path, axes="TYX", strength=0).array()
    assert written.dtype == np.float32
    difference = stack.astype(float) - result.array()
    assert np.abs(written - difference).max() <= 0.5 + 1e-3
    with pytest.raises(ValueError, match=r"`path` must end in \.tif or \.tiff for 3 planes"):
        result.save_residual(tmp_path / "noise.png")


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 400), (400, 1), (1, 1, 3), (2, 2)])
@pytest.mark.parametrize("options", [{}, {"sigma": 0.1}, {"method": "nl-wiener"}])
def test_thin_and_tiny_pictures(shape, options):
    data = np.random.default_rng(0).random(shape).astype("f4")
    array = impasto.denoise(data, **options).array()
    assert array.shape == shape
    assert np.isfinite(array).all()


@pytest.mark.parametrize("options", [{}, {"sigma": 0.1}, {"method": "nl-wiener"}])
def test_a_constant_picture_stays_constant(options):
    data = np.full((20, 20, 3), 77, np.uint8)
    assert np.array_equal(impasto.denoise(data, **options).array(), data)


@pytest.mark.parametrize(
    ("picture", "options", "sentence"),
    [
        (np.full((9, 9), np.nan), {}, "`picture` must be finite"),
        (np.zeros((0, 4)), {}, "`picture` must have pixels"),
        (np.zeros((8, 8)), {"method": "median"}, "`method` must be"),
        (np.zeros((8, 8)), {"sigma": 0}, "`sigma` must be"),
        (np.zeros((8, 8)), {"chroma": 0.5}, "`chroma` must be same"),
        (np.zeros((8, 8)), {"axes": "TYX"}, "`axes` must be"),
        (np.zeros((8, 8), complex), {}, "`picture` must be"),
    ],
)
def test_bad_input_is_one_sentence(picture, options, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        impasto.denoise(picture, **options)


def test_a_known_sigma_beyond_all_range_smooths_and_never_gives_nan():
    stack = np.random.default_rng(0).normal(0, 1, (32, 32)).astype(np.float32)
    assert np.isfinite(impasto.denoise(stack, sigma=1e12, method="nl-wiener").array()).all()
    with pytest.raises(ValueError, match="`sigma` must be at most 1 for a picture, where 1 is"):
        impasto.denoise(Image(drawing()), sigma=25)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_was_computed_is_finite_or_an_error(monkeypatch, value):
    monkeypatch.setitem(METHODS, "nl-wiener", lambda *_: lambda plane: plane * value)
    with pytest.raises(ImpastoError, match="the denoised picture must hold finite numbers alone"):
        impasto.denoise(np.ones((9, 9), np.float32) * np.arange(9), sigma=1, method="nl-wiener")
