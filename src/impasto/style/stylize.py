"""Style transfer: paint a content image in the style of others, `stylize`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.images.color import is_gray, to_gray
from impasto.images.image import Image, ImageMetadata
from impasto.images.masks import check_mask_shape, is_white, open_mask, resize_mask
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource, open_image
from impasto.images.resize import composite_rgb, resize, thumbnail
from impasto.notebook_html import COMPARED_SIDE
from impasto.presets import style_recipe
from impasto.provenance import Inputs
from impasto.recipes import StyleRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.checkpoint import Checkpoints
from impasto.style.color import match_content_colors
from impasto.style.composite import (
    composite,
    content_weights,
    hold_still,
    needs_composite,
    paste_protected,
    without_color,
)
from impasto.style.engine import Problem, Run, Setup, random_image, set_up
from impasto.style.objective import build_objective
from impasto.style.plan import Plan
from impasto.style.schedule import Size
from impasto.style.source import Style
from impasto.style.spec import style_spec
from impasto.style.styles import (
    StyleSource,
    StyleTargets,
    build_regions,
    checkpoint_inputs,
    measure_styles,
    open_styles,
    output_size,
    recolor_by_region,
    resize_image,
    style_inputs,
    style_sizes,
)
from impasto.style.terms import FeatureTerm, Region, TemporalTerm
from impasto.validation import reject_recipe_and_options


def transfer_style(
    content: ImageSource,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: StyleRecipe | None = None,
    init_image: ImageSource | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> Result:
    """Paint without denoising; the arguments, result and errors are those of `impasto.stylize`.

    Example:
        >>> import torch
        >>> result = transfer_style(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=48, steps=2)
        >>> result.size, result.evaluations
        ((48, 32), 2)
    """
    recipe = _choose_recipe(recipe, options, init_image is not None)
    image = open_image(content, name="content")
    extras = _open_extras(image, init_image, protect, keep)
    prepared = _prepare(style, image, recipe, extras, checkpoint)
    painting = _Painting(prepared, image, extras)
    # From here on only `painting` refers to the images, which it releases in time.
    del content, style, image, init_image, protect, keep, extras
    return painting.run(on_step, stop)


def plan_style(
    content: ImageSource,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: StyleRecipe | None = None,
    init_image: ImageSource | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    timed: bool = True,
    **options: Any,
) -> Plan:
    """Plan what `stylize` would do with the same arguments: sizes, tiles, memory, seconds.

    Refuses whatever `stylize` refuses before its first evaluation. The seconds come from a probe
    that takes about one; without `timed` they are None.

    Example:
        >>> import torch
        >>> plan = plan_style(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=48, steps=2)
        >>> plan.sizes, plan.evaluations
        ([(48, 32)], [2])
    """
    recipe = _choose_recipe(recipe, options, init_image is not None)
    image = open_image(content, name="content")
    extras = _open_extras(image, init_image, protect, keep)
    return _prepare(style, image, recipe, extras, timed=timed).setup.plan


class Motion(NamedTuple):
    """What the last frame of a film says about the next one.

    Attributes:
        pixels: the last painted frame where the motion took it, (3, H, W) in [0, 1].
        trust: (H, W) in [0, 1], how far the motion is believed.
        strokes: (3, H, W), fine detail of the last painted frame, laid over the frame where the
            motion is not believed, so that a few evaluations find strokes there.
        moving: (H, W) in [0, 1], 0 where nothing moves and the pixels stay as they are.
        weight: of the temporal loss.
        held: (H, W) in [0, 1], how far the temporal loss counts; None for `trust`.
    """

    pixels: Tensor
    trust: Tensor
    strokes: Tensor
    moving: Tensor
    weight: float
    held: Tensor | None = None


class PreparedStyles:
    """Styles made ready for content images of one size.

    Network, plan and style statistics are computed once, however many content images follow. If
    `color` is below 1 the statistics depend on each content image and are computed for each.

    Attributes:
        setup: recipe, network and plan.
        sources: the styles.
        content: (width, height) of the content images.
        inputs: the styles by the names and hashes of their files.
        gray: no style has any color.
        reuse: keep the style images and their statistics for further content images.
    """

    def __init__(
        self, setup: Setup, sources: list[StyleSource], content: Size, *, reuse: bool
    ) -> None:
        self.setup = setup
        self.sources = sources
        self.content = content
        self.inputs = style_inputs(sources)
        self.gray = all(is_gray(image) for source in sources for image in source.images)
        self.reuse = reuse
        self._targets: dict[int, list[StyleTargets]] = {}
        self.style_terms: dict[int, FeatureTerm] = {}  # by scale, of frames that are alike

    def targets(self, scale: int, content: Tensor) -> list[StyleTargets]:
        """Return the statistics of each region's styles at a scale, measured if they are not yet.

        Args:
            scale: which one, from 0.
            content: the content image at that scale, (3, H, W).
        """
        if scale in self._targets:
            return self._targets[scale]
        plan = self.setup.plan
        spec, network = self.setup.at_scale(scale)
        targets = measure_styles(
            self.sources,
            spec,
            network,
            plan.scales[scale],
            plan.sizes[-1],
            content=content,
            colors=spec.start == "recolored",
        )
        if not self.reuse and scale == len(plan.scales) - 1:
            self.sources = [source._replace(images=[]) for source in self.sources]
        elif self.reuse and spec.color == 1:
            self._targets[scale] = targets
        return targets

    def stylize(
        self,
        content: ImageSource,
        *,
        init_image: ImageSource | None = None,
        protect: ImageSource | None = None,
        keep: ImageSource | None = None,
        on_step: OnStep | None = None,
        stop: Stop | None = None,
    ) -> Result:
        """Paint a content image, as the function `stylize` does with the same arguments.

        Raises:
            ValueError: a content image of another size, or as `stylize`.
        """
        _check_start(self.setup.recipe, init_image is not None)
        image = self._open_content(content)
        extras = _open_extras(image, init_image, protect, keep)
        return _Painting(self, image, extras).run(on_step, stop)

    def paint_frame(
        self,
        content: ImageSource,
        motion: Motion | None = None,
        *,
        protect: ImageSource | None = None,
        keep: ImageSource | None = None,
        on_step: OnStep | None = None,
        stop: Stop | None = None,
    ) -> tuple[Result, Tensor]:
        """Paint a frame of a film.

        Args:
            content: the frame.
            motion: what the last frame says; None for the first of a scene.
            protect: as for `stylize`.
            keep: as for `stylize`.
            on_step: as for `stylize`.
            stop: as for `stylize`.

        Returns:
            The result, and the painting before the content's colors and pixels were put back,
            (3, H, W), which the next frame starts from.
        """
        image = self._open_content(content)
        painting = _Painting(self, image, _open_extras(image, None, protect, keep), motion)
        result = painting.run(on_step, stop)
        return result, painting.raw

    def finish_frame(
        self, painted: Tensor, content: Image, protect: ImageSource | None = None
    ) -> tuple[Tensor, ImageMetadata]:
        """Give a painting of the finished size the content's colors, pixels and transparency.

        Args:
            painted: (3, H, W) in [0, 1], as `paint_frame` gives it beside its result.
            content: the frame, of any size.
            protect: as for `stylize`.

        Returns:
            The frame, (3, H, W), and what goes into its file beside the pixels.
        """
        size = self.setup.plan.sizes[-1]
        mask = None if protect is None else open_mask(protect, "protect")
        gray = self.gray and is_gray(content)
        finish = composite(self.setup.spec, content, mask, size, gray=gray)
        alpha = content.metadata.alpha
        alpha = None if alpha is None else resize(alpha, size)
        return finish(painted), replace(content.metadata, recipe=None, alpha=alpha)

    def with_sources(self, sources: list[StyleSource]) -> PreparedStyles:
        """Return other styles, among those that these were prepared with, for the same frames."""
        return PreparedStyles(self.setup, sources, self.content, reuse=True)

    def for_frames(self, evaluations: int) -> PreparedStyles:
        """Return the same styles prepared for frames that continue others.

        Args:
            evaluations: of each frame, all at the finest scale.
        """
        plan = self.setup.plan
        last = replace(plan.scales[-1], evaluations=evaluations, warmup=False, tolerance=0.0)
        setup = self.setup._replace(plan=replace(plan, scales=(last,)))
        return PreparedStyles(setup, self.sources, self.content, reuse=True)

    def _open_content(self, content: ImageSource) -> Image:
        """Open a content image and refuse one of another size."""
        image = open_image(content, name="content")
        if image.size != self.content:
            raise ValueError(
                f"`content` must be {self.content[0]} × {self.content[1]} pixels, the size that "
                f"the styles were prepared for, got {image.size[0]} × {image.size[1]}; prepare "
                "them again"
            )
        return image


def prepare_styles(
    content: ImageSource,
    style: ImageSource | Style | Sequence[ImageSource | Style | StyleSource],
    *,
    recipe: StyleRecipe | None = None,
    timed: bool = False,
    **options: Any,
) -> PreparedStyles:
    """Prepare styles for many content images of one size, such as the frames of a film.

    Args:
        content: one of the content images, or another of their size.
        style: as for `stylize`; or styles that are open, as `open_styles` gives them.
        recipe: every option at once; or give the ones to change as `options`.
        timed: estimate the seconds of the plan, from a probe that takes about one.
        options: any field of `StyleRecipe`.

    Example:
        >>> import torch
        >>> first, second, style = torch.rand(3, 3, 32, 32)
        >>> prepared = prepare_styles(first, style, size=32, steps=1)
        >>> [prepared.stylize(content).size for content in (first, second)]
        [(32, 32), (32, 32)]
    """
    reject_recipe_and_options(recipe, options)
    recipe = recipe or style_recipe(**options)
    image = open_image(content, name="content")
    return _prepare(style, image, recipe, _Extras(None, None, None), reuse=True, timed=timed)


class _Extras(NamedTuple):
    """The optional images of a run."""

    start: Image | None
    protect: Image | None
    keep: Image | None


def _choose_recipe(
    recipe: StyleRecipe | None, options: dict[str, Any], starts_from_image: bool
) -> StyleRecipe:
    """Return the recipe to follow, from a whole one or from options."""
    reject_recipe_and_options(recipe, options)
    if recipe is None:
        if starts_from_image:
            options.setdefault("init", "picture")
        recipe = style_recipe(**options)
    _check_start(recipe, starts_from_image)
    if recipe.denoise != "no":
        raise ValueError(
            f"`denoise` must be no for the style transfer alone, got {recipe.denoise!r}; call "
            "`impasto.stylize`, which takes the same and cleans too"
        )
    return recipe


def _check_start(recipe: StyleRecipe, starts_from_image: bool) -> None:
    if (recipe.init == "picture") != starts_from_image:
        raise ValueError(
            f"`init` must be `picture` where an init picture is given and only there, got "
            f"{recipe.init!r}; give both or neither"
        )


def _open_extras(
    content: Image,
    init_image: ImageSource | None,
    protect: ImageSource | None,
    keep: ImageSource | None,
) -> _Extras:
    """Open the optional images, and check that the masks fit the content image."""
    start = None if init_image is None else open_image(init_image, name="init")
    masks: dict[str, Image | None] = {}
    for name, source in (("protect", protect), ("keep", keep)):
        masks[name] = None if source is None else open_mask(source, name)
        if source is not None:
            check_mask_shape(masks[name], content.size, name, "the content image")
    if masks["protect"] is not None and is_white(masks["protect"]):
        raise ValueError(
            "`protect` must leave something to paint, got a mask that is white all over; paint "
            "black where the style may go"
        )
    if masks["keep"] is not None and is_white(masks["keep"]):
        masks["keep"] = None
    return _Extras(start, **masks)


def _prepare(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    content: Image,
    recipe: StyleRecipe,
    extras: _Extras,
    checkpoint: str | Path | Checkpoints | None = None,
    *,
    reuse: bool = False,
    timed: bool = False,
) -> PreparedStyles:
    """Open the styles, load the network and plan the run."""
    size = output_size(content, recipe.size, "content")
    sources = open_styles(style, content.size)
    images = [] if reuse else [content, *(image for s in sources for image in s.images)]
    setup = set_up(
        recipe,
        style_spec,
        size,
        lambda scale: style_sizes(sources, scale, recipe.style_scale, size),
        checkpoint=checkpoint,
        inputs=[content, *checkpoint_inputs(sources), *extras],
        images=images,
        planes=_mask_planes(recipe, sources, extras),
        timed=timed,
    )
    return PreparedStyles(setup, sources, content.size, reuse=reuse)


def _mask_planes(recipe: StyleRecipe, styles: Sequence[StyleSource], extras: _Extras) -> int:
    """Return the numbers a pixel that masks and colors take while the network runs."""
    regions = sum(style.region is not None for style in styles)
    colors = 6 if needs_composite(style_spec(recipe), extras.protect) else 0
    return 2 * regions + colors + 2 * (recipe.structure > 0 or extras.keep is not None)


class _Painting:
    """The run of one content image with prepared styles."""

    def __init__(
        self,
        prepared: PreparedStyles,
        content: Image,
        extras: _Extras,
        motion: Motion | None = None,
    ) -> None:
        self.prepared = prepared
        self.motion = motion
        self.raw: Tensor | None = None  # the painting before it is finished
        self.content: Image | None = content
        self.extras = extras
        self.gray = prepared.gray and is_gray(content)  # then the painting is gray, too

    def run(self, on_step: OnStep | None, stop: Stop | None) -> Result:
        """Paint, from the start or from a checkpoint."""
        setup, extras, content = self.prepared.setup, self.extras, self.content
        inputs = Inputs(
            content=identify_input(content),
            styles=self.prepared.inputs,
            init=extras.start and identify_input(extras.start),
            protect=extras.protect and identify_input(extras.protect),
            keep=extras.keep and identify_input(extras.keep),
        )
        finish = composite(
            setup.spec, content, extras.protect, setup.plan.sizes[-1], gray=self.gray
        )
        metadata = content.metadata
        before = thumbnail(composite_rgb(content), COMPARED_SIDE)
        del content  # so that `problem` can release it
        run = Run.of(setup, on_step, stop)
        device = setup.network.device
        run.optimize(self.problem, device)
        self.raw = None if run.best is None else run.best.cpu()
        result = run.result(setup.recipe, metadata, device, finish, inputs)
        return replace(result, before=before)

    def problem(self, run: Run, scale: int) -> Problem:
        """Build objective and start of one scale."""
        plan = self.prepared.setup.plan
        spec, network = self.prepared.setup.at_scale(scale)
        stage, device, protect = plan.scales[scale], network.device, None
        preview = composite(spec, self.content, self.extras.protect, stage.size, gray=self.gray)
        original, mask = resize_image(self.content, stage.size, device)
        content = match_content_colors(original, spec)
        painted = mask  # where styles may go
        if self.extras.protect is not None:
            protect = resize_mask(self.extras.protect, stage.size, device)
            painted = 1 - protect if mask is None else mask * (1 - protect)
        targets = self.prepared.targets(scale, original)
        sources = self.prepared.sources
        regions = build_regions(sources, targets, stage.size, device, painted)
        if scale:
            start = run.resize_best(scale).to(device)
            resumes = run.scale == scale  # with the details that it began with
            if not resumes and spec.start != "noise" and plan.sizes[scale - 1] != stage.size:
                first = self._first(content, targets, regions)
                start = add_details(start, first, plan.sizes[scale - 1])
        else:
            start = self._first(content, targets, regions)
        temporal = []
        if self.motion is not None:
            pixels, trust, strokes, moving = (part.to(device) for part in self.motion[:4])
            start = torch.lerp((start + strokes).clamp_(0, 1), pixels, trust)
            held = trust if self.motion.held is None else self.motion.held.to(device)
            temporal = [TemporalTerm(pixels, held, self.motion.weight)]
        start = to_gray(start) if self.gray else start
        # A frame whose whole area counts differs from the last one in its content alone.
        alike = self.motion is not None and painted is None and spec.color == 1
        objective = build_objective(
            spec,
            network,
            stage.size,
            stage.tile,
            regions=regions,
            content=content,
            mask=mask,
            keep=content_weights(original, spec.structure, self.extras.keep),
            warmup=stage.warmup,
            extra_terms=temporal,
            style_term=self.prepared.style_terms.get(scale) if alike else None,
            check_stop=run.check_stop,
        )
        if alike:
            self.prepared.style_terms[scale] = objective.feature_terms[0]
        if self.gray:
            objective = without_color(objective)
        if self.motion is not None:
            objective = hold_still(objective, moving)
        if scale == len(plan.scales) - 1:
            self.content = None
        if protect is None:
            return Problem(objective, start, preview)
        start = torch.lerp(start, content, protect)
        return Problem(paste_protected(objective, content, protect), start, preview)

    def _first(
        self, content: Tensor, targets: Sequence[StyleTargets], regions: Sequence[Region]
    ) -> Tensor:
        """Return what the run starts as, at the size of the content image given."""
        spec, (height, width) = self.prepared.setup.spec, content.shape[1:]
        if spec.start == "noise":
            return random_image(content.shape, spec.seed, gray=self.gray).to(content.device)
        if spec.start == "picture":
            return resize_image(self.extras.start, (width, height), content.device)[0]
        if spec.start == "recolored":
            return recolor_by_region(content, targets, regions)
        return content


def add_details(enlarged: Tensor, image: Tensor, before: Size) -> Tensor:
    """Give an enlarged image the fine detail that another one has and enlarging cannot make.

    Args:
        enlarged: (3, H, W) in [0, 1].
        image: (3, H, W) in [0, 1], whose detail it is.
        before: (width, height) that it was enlarged from.

    Example:
        >>> plain, image = torch.full((3, 8, 8), 0.5), torch.rand(3, 8, 8)
        >>> torch.allclose(add_details(plain, image, (8, 8)), plain, atol=1e-6)
        True
    """
    size = (image.shape[2], image.shape[1])
    blurred = resize(resize(image.cpu(), before), size).to(image.device)
    return (enlarged + image - blurred).clamp_(0, 1)
