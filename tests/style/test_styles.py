"""Several styles, where they go, and what stays: laws of the painter's hand."""

import pytest
import torch

import impasto
from impasto import Style
from impasto.images.image import Image
from impasto.images.resize import resize
from impasto.presets import style_recipe
from impasto.style import styles as room
from impasto.style.composite import content_weights, edge_density
from impasto.style.features import load_network, style_statistics
from impasto.style.objective import build_objective
from impasto.style.plan import ScalePlan
from impasto.style.spec import style_spec
from impasto.style.styles import build_regions, measure_styles, open_styles, style_size

GENERATOR = torch.Generator().manual_seed(0)
CONTENT = torch.rand(3, 40, 56, generator=GENERATOR)
STYLE, OTHER = (torch.rand(3, 40, 32, generator=GENERATOR) for _ in range(2))
LEFT = torch.zeros(40, 56)
LEFT[:, :28] = 1
QUICK = {"size": 56, "steps": 3, "scales": 1, "precision": "float32", "device": "cpu"}


def painted(style, content=CONTENT, **options):
    return impasto.stylize(content, style, **{**QUICK, **options}).pixels


def regions_of(style, recipe, content, scale):
    """A network for a recipe, and the regions of some styles on a content image at one scale."""
    spec = style_spec(recipe)
    network = load_network(spec, torch.device("cpu"), torch.float32)
    size = (content.shape[2], content.shape[1])
    styles = open_styles(style, size)
    targets = measure_styles(styles, spec, network, scale, size, content=content)
    return spec, network, build_regions(styles, targets, scale.size, network.device, None)


def test_a_style_twice_at_half_its_weight_is_the_style_once():
    twice = painted([Style(STYLE, 0.5), Style(STYLE, 0.5)])
    assert torch.equal(twice, painted(STYLE))


@pytest.mark.slow
def test_only_the_proportions_of_weights_matter_and_0_leaves_a_style_out():
    mixed = painted([Style(STYLE, 2), Style(OTHER, 6)])
    assert torch.equal(mixed, painted([Style(STYLE, 0.25), Style(OTHER, 0.75)]))
    assert not torch.equal(mixed, painted([STYLE, OTHER]))
    assert torch.equal(painted([STYLE, Style(OTHER, 0)]), painted(STYLE))


def test_the_statistics_are_the_weighted_mean_of_the_styles():
    recipe = style_recipe(style_layers={"relu1_1": 1, "relu2_1": 1})
    scale = ScalePlan((56, 40), 1, None, 1, 0)

    def statistics(*styles):
        _, _, (region,) = regions_of(list(styles), recipe, CONTENT, scale)
        assert (region.mask, region.weight) == (None, 1)
        return region.targets["relu2_1"].normalized()

    one, two = statistics(STYLE), statistics(OTHER)
    both = statistics(Style(STYLE, 3), Style(OTHER, 1))
    assert torch.allclose(both.second, 0.75 * one.second + 0.25 * two.second, rtol=1e-6)


@pytest.mark.parametrize("name", ["region", "mask"])
def test_a_mask_of_ones_is_no_mask(name):
    ones = torch.ones(40, 56) if name == "region" else torch.ones(40, 32)
    assert torch.equal(painted(Style(STYLE, **{name: ones})), painted(STYLE))


def test_keeping_everything_is_keeping_nothing_apart():
    assert torch.equal(painted(STYLE, keep=torch.ones(40, 56)), painted(STYLE))


def test_what_is_protected_is_the_content_and_the_rest_is_painted():
    found = painted(STYLE, protect=LEFT)
    assert torch.equal(found[:, :, :28], CONTENT[:, :, :28])
    assert (found - CONTENT)[:, :, 30:].abs().mean() > 0.01


def test_a_style_goes_where_its_region_is():
    red, blue = torch.zeros(3, 40, 32), torch.zeros(3, 40, 32)
    red[0], blue[2] = STYLE[0, :40, :32] / 10 + 0.8, STYLE[2, :40, :32] / 10 + 0.8
    both = [Style(red, region=LEFT), Style(blue)]
    found = painted(both, strength=0.9, steps=12)
    left, right = found[:, :, 4:24].mean((1, 2)), found[:, :, 32:52].mean((1, 2))
    assert left[0] > 2 * left[2]
    assert right[2] > 2 * right[0]


@pytest.mark.parametrize("color", [0.0, 0.5, 1.0])
def test_a_style_of_one_color_is_refused_before_any_work(color):
    flat = torch.full((3, 40, 32), color)
    faint = flat.clone()
    faint[:, 3, 3] = abs(color - 0.001)
    for style in (flat, faint, [STYLE, flat], Style([flat, flat]), Style(flat, region=LEFT)):
        with pytest.raises(ValueError, match="`style` must show more than one color, got a pic"):
            painted(style)
    with pytest.raises(ValueError, match="there is nothing to learn from it"):
        impasto.texture(flat, width=64, height=64, steps=1)
    painted(Style([flat, STYLE]), steps=1)


def test_a_region_counts_by_its_area_and_its_gray():
    recipe = style_recipe(style_layers={"relu1_1": 1}, content_layers={"relu1_2": 1})
    scale = ScalePlan((56, 40), 1, None, 1, 0)

    def shares(*styles):
        _, _, regions = regions_of(list(styles), recipe, CONTENT, scale)
        return [region.weight for region in regions]

    assert shares(Style(STYLE, region=LEFT), Style(OTHER)) == pytest.approx([0.5, 0.5])
    assert shares(Style(STYLE, region=0.25 * LEFT + 0.25)) == pytest.approx([0.375])
    assert shares(Style(STYLE, 1, region=LEFT), Style(OTHER, 0.5)) == pytest.approx([0.5, 0.25])
    ones = torch.ones(40, 56)
    assert shares(Style(STYLE, region=LEFT), Style(OTHER, region=ones)) == pytest.approx(
        [0.25, 0.75]
    )


def test_regions_in_tiles_are_regions_whole():
    content = torch.rand(3, 101, 119, generator=GENERATOR)
    soft = torch.linspace(0, 1, 119).expand(101, -1)
    scale = ScalePlan((119, 101), 1, None, 1, 0)
    styles = [Style(STYLE, region=soft), Style(OTHER)]
    spec, network, regions = regions_of(styles, style_recipe(), content, scale)
    whole, tiled = (
        build_objective(spec, network, (119, 101), tile, regions=regions, content=content)
        for tile in (None, 64)
    )
    start = torch.rand(3, 101, 119, generator=GENERATOR)
    one, two = whole(start), tiled(start)
    assert two.losses == pytest.approx(one.losses, rel=1e-5)
    assert (two.gradient - one.gradient).abs().max() < 1e-4 * one.gradient.abs().max()


def test_a_style_mask_leaves_the_rest_of_the_style_unseen():
    halves = torch.cat([STYLE, torch.zeros(3, 40, 32)], 2)
    mask = torch.cat([torch.ones(40, 24), torch.zeros(40, 40)], 1)
    recipe = style_recipe(style_layers={"relu1_1": 1})
    scale = ScalePlan((56, 40), 1, None, 1, 0)

    def mean_of(style):
        _, _, (region,) = regions_of(style, recipe, CONTENT, scale)
        return region.targets["relu1_1"].normalized().first

    wanted = mean_of(STYLE)
    masked, whole = mean_of(Style(halves, mask=mask)), mean_of(halves)
    assert (masked - wanted).norm() < 0.3 * (whole - wanted).norm()


def test_structure_counts_where_there_are_edge_density():
    flat = torch.full((3, 80, 120), 0.5)
    flat[:, 20:60, 60:100] = (
        torch.rand(3, 5, 5, generator=GENERATOR).repeat_interleave(8, 1).repeat_interleave(8, 2)
    )
    found = content_weights(flat, 1.0, None)
    assert found.mean() == pytest.approx(1, abs=0.05)
    assert found[30:50, 70:90].mean() > 3 * found[:, :40].mean()
    half = content_weights(flat, 0.5, None)
    assert torch.allclose(half, 0.5 + 0.5 * found)
    assert content_weights(flat, 0.0, None) is None
    assert torch.allclose(edge_density(torch.full((3, 32, 32), 0.3)), torch.ones(32, 32))
    kept = content_weights(flat, 0.0, Image(torch.full((1, 40, 60), 0.25)))
    assert torch.allclose(kept, torch.full((80, 120), 0.25))


def test_what_is_kept_less_pulls_less():
    spec = style_spec(style_recipe(style_layers={}))
    network = load_network(spec, torch.device("cpu"), torch.float32)
    start = torch.rand(3, 40, 56, generator=GENERATOR)
    whole = build_objective(spec, network, (56, 40), content=CONTENT)(start).losses["content"]
    keep = torch.full((40, 56), 0.5)
    half = build_objective(spec, network, (56, 40), content=CONTENT, keep=keep)(start)
    assert half.losses["content"] == pytest.approx(0.5 * whole, rel=1e-5)


@pytest.mark.parametrize(
    ("style", "options", "said"),
    [
        ([Style(STYLE, 0)], {}, "`style` must have weights that add up to more than 0, got 0"),
        (Style(STYLE, region=torch.zeros(40, 56)), {}, "`region` must be white or gray somewhere"),
        (Style(STYLE, region=torch.ones(40, 40)), {}, "`region` must have the shape of the cont"),
        (Style(STYLE, mask=torch.ones(40, 56)), {}, "`mask` must have the shape of the style im"),
        (Style([STYLE, OTHER], mask=torch.ones(40, 32)), {}, "must go with one picture, got 2"),
        (
            [Style(STYLE, region=LEFT), Style(OTHER, region=1 - LEFT), OTHER],
            {},
            "none for number 3",
        ),
        (STYLE, {"protect": torch.ones(40, 56)}, "`protect` must leave something to paint"),
        (STYLE, {"protect": torch.zeros(40, 56)}, "`protect` must be white or gray somewhere"),
        (STYLE, {"keep": torch.zeros(40, 56)}, "`keep` must be white or gray somewhere"),
        (STYLE, {"keep": torch.ones(10, 56)}, "`keep` must have the shape of the content image"),
        ([], {}, "`style` must be at least one picture"),
    ],
)
def test_what_cannot_be_painted_is_one_sentence(style, options, said):
    with pytest.raises(ValueError, match="must") as caught:
        painted(style, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weight", [-1, 1e300, float("nan"), float("inf"), True, "1", None])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ValueError, match="must be a number from 0 to 1,000,000, got "):
        Style(STYLE, weight)


def test_strokes_of_twice_the_scale_on_twice_the_picture_are_the_same_strokes(monkeypatch):
    recipe = style_recipe(style_layers={"relu1_1": 1}, style_scale=0.1)
    large = recipe.model_copy(update={"style_scale": 0.2})
    style = torch.rand(3, 30, 30).repeat_interleave(8, 1).repeat_interleave(8, 2)
    seen = []

    def watched(network, pixels, *rest):
        seen.append(pixels)
        return style_statistics(network, pixels, *rest)

    monkeypatch.setattr(room, "style_statistics", watched)
    regions_of(style, recipe, CONTENT, ScalePlan((56, 40), 1, None, 1, 0))
    double = torch.rand(3, 80, 112)
    regions_of(style, large, double, ScalePlan((112, 80), 1, None, 1, 0))
    small, twice = seen
    assert all(abs(a - 2 * b) <= 1 for a, b in zip(twice.shape[1:], small.shape[1:], strict=True))
    halved = resize(twice, (small.shape[2], small.shape[1]))
    assert (halved - small).abs().mean() < 0.01
    # The coarser scale sees them smaller in step.
    assert style_size((240, 240), (56, 40), 0.2, (112, 80)) == small.shape[:0:-1]


@pytest.mark.parametrize("role", ["region", "mask"])
def test_a_mask_that_is_too_small_is_said_to_be(role):
    tiny = torch.zeros(200, 300)
    tiny[50:54, 60:65] = 1
    styles = [Style(torch.rand(3, 200, 300), **{role: tiny}), torch.rand(3, 40, 40)]
    sentence = f"`{role}`.* must be white on at least 0.2 % of the .* image, got 0.033 %, which"
    with pytest.raises(ValueError, match=sentence):
        open_styles(styles, (300, 200))


GRAY = CONTENT.mean(0, keepdim=True)


def is_without_color(pixels):
    return torch.equal(pixels[0], pixels[1]) and torch.equal(pixels[0], pixels[2])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init": "noise"},
        {"init": "recolored", "optimizer": "adam"},
        {"init_image": OTHER},
        {"color": 0.4, "color_by": "statistics"},
        {"protect": LEFT, "scales": 2},
        {"denoise": "after"},
    ],
)
def test_gray_inputs_give_gray(options):
    steps = []
    style = [STYLE.mean(0), STYLE[:1].expand(3, -1, -1) * (1 - 1e-4)]
    result = impasto.stylize(
        GRAY, style, on_step=lambda step: steps.append(step.picture()), **(QUICK | options)
    )
    assert all(map(is_without_color, [result.pixels, *steps]))
    # The painting of pictures of noise is noise, of which denoising leaves little.
    assert result.pixels.std() > (0.005 if "denoise" in options else 0.05)


@pytest.mark.parametrize("tileable", [False, True])
def test_a_texture_of_gray_is_gray(tileable):
    result = impasto.texture(STYLE[0], width=64, height=64, steps=3, tileable=tileable)
    assert is_without_color(result.pixels)


def test_a_reconstruction_of_gray_is_gray():
    assert is_without_color(impasto.reconstruct(GRAY, size=56, steps=3).pixels)


def test_one_color_anywhere_keeps_the_colors():
    for content, style in ((GRAY, STYLE), (CONTENT, STYLE[:1])):
        assert not is_without_color(painted(style, content=content))
