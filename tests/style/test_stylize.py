"""Stylizing end to end, on pictures small enough for a test."""

import pytest
import torch
from torch.nn import functional as F

import impasto
from impasto.errors import ImpastoError
from impasto.images.image import Image, ImageMetadata
from impasto.images.resize import resize
from impasto.result import Losses
from impasto.style import features, styles
from impasto.style import objective as room
from impasto.style.losses import gram
from impasto.style.statistics import moments
from impasto.style.stylize import prepare_styles, transfer_style
from impasto.vgg.network import VGG19Features
from impasto.vgg.weights import load_weights


def waves(height, width, *, angle, warm):
    """A smooth, textured color picture: stripes at an angle over a slope of color."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    stripes = torch.sin(40 * (x * torch.cos(angle) + y * torch.sin(angle)))
    base = torch.stack([x, y, 1 - x]) if warm else torch.stack([1 - y, x * y, y])
    return (0.6 * base + 0.2 + 0.15 * stripes).clamp(0, 1)


CONTENT = waves(48, 64, angle=torch.tensor(0.3), warm=False)
STYLE = waves(56, 56, angle=torch.tensor(1.2), warm=True)
QUICK = {"size": 64, "steps": 12, "precision": "float32", "device": "cpu"}


def gram_distance(pixels, style):
    """Relative Gram distance to the style, summed over the default's layers."""
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    trunk = VGG19Features(load_weights(), layers)
    a, b = trunk(pixels), trunk(style)
    distances = []
    for layer in layers:
        target = gram(moments(b[layer]))
        distances.append(((gram(moments(a[layer])) - target).norm() / target.norm()).item())
    return sum(distances)


def test_the_picture_moves_towards_the_style_and_its_loss_falls():
    result = impasto.stylize(CONTENT, STYLE, **{**QUICK, "steps": 25})
    assert gram_distance(result.pixels, STYLE) < 0.5 * gram_distance(CONTENT, STYLE)
    assert result.losses["total"] < 0.5 * result.history[0].total
    assert result.evaluations == 25
    assert result.pixels.shape == (3, 48, 64)
    assert result.pixels.min() >= 0
    assert result.pixels.max() <= 1


def test_one_seed_gives_the_same_bytes():
    options = {**QUICK, "init": "noise", "seed": 5}
    first, second = (impasto.stylize(CONTENT, STYLE, **options) for _ in range(2))
    assert torch.equal(first.pixels, second.pixels)
    other = impasto.stylize(CONTENT, STYLE, **{**options, "seed": 6})
    assert not torch.equal(first.pixels, other.pixels)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "precision"), [(128, "auto"), (48, "float32")])
def test_any_number_of_threads_gives_the_same_bytes(size, precision):
    content = waves(96, 128, angle=torch.tensor(0.3), warm=False)
    options = QUICK | {"size": size, "precision": precision}
    threads, pictures = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            features._cache.clear()
            result = impasto.stylize(content, STYLE, **options)
            pictures.append(result.pixels)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])


def test_the_main_dial_goes_from_content_to_style():
    still = impasto.stylize(CONTENT, STYLE, strength=0, **QUICK)
    assert torch.equal(still.pixels, CONTENT)
    assert still.evaluations == 1
    distances = [
        gram_distance(impasto.stylize(CONTENT, STYLE, strength=s, **QUICK).pixels, STYLE)
        for s in (0.1, 0.5, 1.0)
    ]
    assert distances == sorted(distances, reverse=True)


def test_inputs_are_never_changed():
    content, style = CONTENT.clone(), STYLE.clone()
    impasto.stylize(content, style, **QUICK)
    assert torch.equal(content, CONTENT)
    assert torch.equal(style, STYLE)


@pytest.mark.parametrize("more", [{}, {"color": 0.3}, {"style_loss": "gram", "protect": True}])
def test_styles_prepared_once_give_every_content_the_bytes_of_its_own_run(monkeypatch, more):
    options = {**QUICK, "steps": 4, "scales": 1} | more
    mask = torch.zeros(48, 64)
    mask[:20, :20] = 1
    extras = {"protect": mask} if options.pop("protect", False) else {}
    contents = CONTENT, CONTENT.flip(2)
    alone = [impasto.stylize(content, STYLE, **extras, **options) for content in contents]
    measured, style_statistics = [], styles.style_statistics

    def counted(*arguments):
        measured.append(arguments)
        return style_statistics(*arguments)

    monkeypatch.setattr(styles, "style_statistics", counted)
    prepared = prepare_styles(contents[0], STYLE, **options)
    results = [prepared.stylize(content, **extras) for content in contents]
    for one, other in zip(results, alone, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert one.history == other.history
        assert one.recipe == other.recipe
    # A scale each is measured once; where colors are the content's, for every content.
    scales = len(prepared.setup.plan.scales)
    assert len(measured) == scales * (2 if "color" in more else 1)


def test_prepared_styles_refuse_a_content_of_another_size():
    prepared = prepare_styles(CONTENT, STYLE, **QUICK)
    with pytest.raises(ValueError, match="`content` must be 64 × 48 pixels, the size that"):
        prepared.stylize(STYLE)


def test_total_variation_is_reported_by_name():
    result = impasto.stylize(CONTENT, STYLE, tv_weight=2.0, **{**QUICK, "steps": 2})
    assert list(result.losses) == ["total", "content", "style", "total_variation"]
    assert sum(list(result.losses.values())[1:]) == pytest.approx(result.losses.total)


def test_a_style_given_twice_equals_it_once():
    once = impasto.stylize(CONTENT, STYLE, **QUICK)
    twice = impasto.stylize(CONTENT, [STYLE, STYLE], **QUICK)
    assert (once.pixels - twice.pixels).abs().max() < 0.02


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "lbfgs-clamped"])
@pytest.mark.parametrize("style_loss", ["gram", "gram+mean+std", "wasserstein"])
def test_every_optimizer_lowers_every_style_loss(optimizer, style_loss):
    result = impasto.stylize(CONTENT, STYLE, optimizer=optimizer, style_loss=style_loss, **QUICK)
    assert result.losses["total"] < 0.9 * result.history[0].total


@pytest.mark.parametrize("init", ["recolored", "noise"])
def test_other_starts(init):
    result = impasto.stylize(CONTENT, STYLE, init=init, **QUICK)
    assert result.losses["total"] < result.history[0].total


def test_a_picture_of_ones_own_can_be_the_start():
    result = impasto.stylize(CONTENT, STYLE, init_image=STYLE, **{**QUICK, "steps": 1})
    assert torch.equal(result.pixels, resize(STYLE, (64, 48)))
    assert result.recipe.init == "picture"


@pytest.mark.slow
def test_alpha_is_kept_and_what_it_hides_is_left_out_of_the_statistics():
    alpha = torch.zeros(56, 56)
    alpha[:, :28] = 1
    spoiled = STYLE.clone()
    spoiled[:, :, 28:] = torch.rand(3, 56, 28)
    shown = impasto.stylize(
        CONTENT, Image(spoiled, ImageMetadata(alpha=alpha)), style_layers={"conv1_1": 1}, **QUICK
    )
    half = impasto.stylize(CONTENT, STYLE[:, :, :28], style_layers={"conv1_1": 1}, **QUICK)
    whole = impasto.stylize(CONTENT, spoiled, style_layers={"conv1_1": 1}, **QUICK)
    near = (shown.pixels - half.pixels).abs().mean()
    assert near < 0.3 * (whole.pixels - half.pixels).abs().mean()
    hole = torch.ones(48, 64)
    hole[10:20, 10:20] = 0
    kept = impasto.stylize(Image(CONTENT, ImageMetadata(alpha=hole)), STYLE, **QUICK)
    torch.testing.assert_close(kept.metadata.alpha, hole)


def test_steps_are_told_in_order_and_can_stop_the_run():
    told = []

    def stop_at_five(step):
        told.append(step)
        if step.evaluation == 5:
            assert step.picture().shape == (3, step.size[1], step.size[0])
            raise StopIteration

    result = impasto.stylize(CONTENT, STYLE, on_step=stop_at_five, **QUICK)
    assert [step.evaluation for step in told] == [1, 2, 3, 4, 5]
    assert result.stopped
    assert result.evaluations == 5
    assert result.pixels.shape == (3, 48, 64)
    assert result.losses["total"] == min(step.losses["total"] for step in told)


def test_a_run_stopped_at_a_coarse_scale_still_has_the_size_asked_for():
    def stop(step):
        assert step.size == (96, 72)
        raise StopIteration

    options = {**QUICK, "size": 192}
    result = impasto.stylize(CONTENT, STYLE, on_step=stop, scales=2, **options)
    assert result.size == (192, 144)


def test_a_wish_to_stop_is_heard_in_the_middle_of_an_evaluation():
    asked = []

    def stop():
        asked.append(True)
        return len(asked) == 25

    told = []
    result = impasto.stylize(CONTENT, STYLE, stop=stop, on_step=told.append, **QUICK)
    asked_whole = []
    impasto.stylize(CONTENT, STYLE, stop=lambda: asked_whole.append(0), **{**QUICK, "steps": 2})
    every = len(asked_whole)  # one evaluation's questions; the first evaluation is asked none
    assert every > 5
    assert result.stopped
    assert result.evaluations == len(told) == 1 + 25 // every
    assert result.losses["total"] == min(step.losses["total"] for step in told)


@pytest.mark.parametrize("paints", [transfer_style, impasto.stylize])
def test_a_stop_where_a_size_begins_keeps_the_last_sizes_picture_and_losses(paints):
    told = []
    options = {**QUICK, "size": 192, "steps": 9}
    result = paints(
        CONTENT, STYLE, on_step=told.append, scales=2, stop=lambda: len(told) == 5, **options
    )
    assert result.stopped
    assert result.size == (192, 144)
    assert result.scale_starts == (0,)
    assert result.losses["total"] == min(step.losses["total"] for step in told)


def test_every_step_says_how_much_is_left():
    steps = []
    options = {**QUICK, "size": 192, "steps": 9, "style_loss": "gram"}
    impasto.stylize(CONTENT, STYLE, on_step=steps.append, scales=2, **options)
    assert [step.scale for step in steps] == [1] * 5 + [2] * 3 + [3]  # half, warm-up, the goal
    here = [step.left for step in steps if step.scale > 1]
    assert here == pytest.approx([3, 2, 1, 0])  # two scales of one size
    coarse = [step.left for step in steps if step.scale == 1]
    assert coarse == pytest.approx([4 + 16, 3 + 16, 2 + 16, 1 + 16, 16])  # four times the pixels


def test_an_exploding_loss_is_survived_and_a_hopeless_one_is_said(monkeypatch):
    objective = room.Objective.__call__

    def fragile(self, pixels):
        found = objective(self, pixels)
        fragile.calls += 1
        if fragile.calls in fragile.bad:
            nothing = Losses(found.losses | {"total": float("nan")})
            return found._replace(
                losses=nothing, gradient=found.gradient * float("nan"), value=float("nan")
            )
        return found

    monkeypatch.setattr(room.Objective, "__call__", fragile)
    fragile.calls, fragile.bad = 0, {3, 4, 9}
    result = impasto.stylize(CONTENT, STYLE, **QUICK)
    assert torch.isfinite(result.pixels).all()
    assert result.losses["total"] < 0.7 * result.history[0].total
    fragile.calls, fragile.bad = 0, set(range(100))
    with pytest.raises(
        ImpastoError, match="the loss must be finite where a run starts, got nan at 64 × 48"
    ):
        impasto.stylize(CONTENT, STYLE, **QUICK)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (torch.rand(3, 1, 1), {}, "`content` must have at least 16 pixels on each side, got 1 × 1"),
        (torch.rand(3, 20, 4000), {}, "got 4000 × 20, 64 × 1 at size 64"),
        (
            Image(CONTENT, ImageMetadata(alpha=torch.zeros(48, 64))),
            {},
            "`content` must have something to see, got 64 × 48 pixels that are all transparent",
        ),
        (
            CONTENT,
            {"normalization": "paper"},
            "`style_loss` must be one of wasserstein, gram, gram+mean+std, gram-paper, gram-noteb",
        ),
        (CONTENT, {"init": "picture"}, "`init` must be `picture` where an init picture"),
        (CONTENT, {"recipe": impasto.StyleRecipe()}, "`recipe` must come alone"),
    ],
)
def test_bad_input_gets_one_sentence(content, options, said):
    with pytest.raises(ValueError, match="must") as caught:
        impasto.stylize(content, STYLE, **{**QUICK, **options})
    assert said in str(caught.value)


def test_one_opaque_pixel_is_enough():
    alpha = torch.zeros(48, 64)
    alpha[-1, -1] = 1
    result = impasto.stylize(Image(CONTENT, ImageMetadata(alpha=alpha)), STYLE, **QUICK)
    assert torch.isfinite(result.pixels).all()


def test_a_style_too_small_is_named():
    with pytest.raises(ValueError, match="`style` must have at least 16 pixels"):
        impasto.stylize(CONTENT, torch.rand(3, 15, 40), **QUICK)
    with pytest.raises(ValueError, match="`style` must be at least one picture"):
        impasto.stylize(CONTENT, [], **QUICK)


def notebook_losses(content, style, steps):
    """The notebook's formulas in a straight line: losses of its L-BFGS run, with our weights."""
    weights = load_weights()

    def features(pixels):
        x, found = (pixels - weights.mean.view(3, 1, 1))[None], []
        for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
            if name in ("conv2_1", "conv3_1"):
                x = F.max_pool2d(x, 2)
            x = F.conv2d(x, *weights.convs[name], padding=1)
            found.append(x)
            x = F.relu(x)
        return found

    def gram_matrix(f):
        b, c, h, w = f.shape
        rows = f.view(b * c, h * w)
        return rows @ rows.t() / (b * c * h * w)

    with torch.no_grad():
        grams = [gram_matrix(f) for f in features(style)]
        kept = features(content)[3]
    x, found = content.clone().requires_grad_(), []
    optimizer = torch.optim.LBFGS([x])

    def closure():
        with torch.no_grad():
            x.clamp_(0, 1)
        optimizer.zero_grad()
        seen = features(x)
        style_loss = sum(F.mse_loss(gram_matrix(f), g) for f, g in zip(seen, grams, strict=True))
        content_loss = F.mse_loss(seen[3], kept)
        loss = content_loss + 1e6 * style_loss
        loss.backward()
        found.append((loss.item(), content_loss.item(), 1e6 * style_loss.item()))
        return loss

    while len(found) < steps:
        optimizer.step(closure)
    return found[:steps]


def test_the_notebook_preset_is_the_notebook():
    style = resize(STYLE, (64, 48))  # the notebook needs both pictures of one size
    result = impasto.stylize(CONTENT, style, preset="notebook", size=64, steps=20, device="cpu")
    expected = notebook_losses(CONTENT, style, 20)
    assert tuple(result.history[0].values()) == pytest.approx(expected[0], rel=1e-4, abs=1e-6)
    ours = [losses["total"] for losses in result.history]
    theirs = [losses[0] for losses in expected]
    assert ours[:5] == pytest.approx(theirs[:5], rel=1e-3)
    assert min(ours) / ours[0] == pytest.approx(min(theirs) / theirs[0], rel=0.05)


def test_the_gatys_preset_starts_from_noise_and_descends():
    result = impasto.stylize(CONTENT, STYLE, preset="gatys", **{**QUICK, "steps": 20})
    assert result.losses["total"] < 0.5 * result.history[0].total


def test_the_recipe_in_the_result_says_what_auto_became_and_names_no_folder(tmp_path):
    from safetensors.torch import save_file

    own = tmp_path / "own.safetensors"
    named = {
        f"{layer}.{part}": tensor.contiguous()
        for layer, pair in load_weights().convs.items()
        for part, tensor in zip(("weight", "bias"), pair, strict=True)
    }
    save_file(named, own)
    options = {"size": 64, "steps": 1, "weights": str(own)}
    for result in (
        impasto.stylize(CONTENT, STYLE, **options),
        impasto.reconstruct(CONTENT, layer="conv1_1", **options),
    ):
        assert result.recipe.weights == "own.safetensors"
        assert result.recipe.precision == result.precision != "auto"
