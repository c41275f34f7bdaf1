"""impasto's nodes: Style, More styles, Denoise, Texture, Fit, Apply, and a model's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor

import impasto
from impasto.errors import OptionError, quote
from impasto.models.model_file import ENDING
from impasto.presets import style_recipe_of
from impasto.provenance import StyleInput
from impasto.recipes import (
    ApplyRecipe,
    ClipRecipe,
    DenoiseRecipe,
    FilmRecipe,
    FitRecipe,
    StyleRecipe,
    TextureRecipe,
)
from impasto.validation import validate

from . import host
from .tensors import frame_folder, only_mask, open_batch, open_masks, to_batch
from .widgets import make_widgets, read_widgets

R = TypeVar("R")

CATEGORY = "impasto"
MODEL = "IMPASTO_MODEL"
STYLES = "IMPASTO_STYLES"
_MODEL_NAME = "impasto/painting" + ENDING

# Options about what a batch of pictures does not have: files, axes of data, times in a clip.
_OF_MEASURED_DATA = ("axes", "crop", "across", "joint")
_OF_CLIPS = ("range", "rate", "crossfade")
# A file that a workflow from elsewhere could name.
_OF_FILES = ("weights",)
_FILM_OPTIONS = tuple(
    name
    for name in FilmRecipe.model_fields
    if name not in StyleRecipe.model_fields and name not in _OF_CLIPS
)
_WEIGHT = StyleInput.model_json_schema()["properties"]["weight"]


def _node(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a node's function as ComfyUI may call it: inside inference mode, where nothing trains.

    An error about an option says where all of them are.
    """

    @wraps(function)
    def run(self: Any, **inputs: Any) -> Any:
        with torch.inference_mode(False), torch.enable_grad():
            try:
                return function(self, **inputs)
            except OptionError as error:
                raise ValueError(error.sentence("see the tooltips of the node")) from None

    return run


def _image(tooltip: str) -> tuple[str, dict[str, str]]:
    return "IMAGE", {"tooltip": tooltip}


def _mask(tooltip: str) -> tuple[str, dict[str, str]]:
    return "MASK", {"tooltip": tooltip}


_BATCH = (
    ["pictures", "frames"],
    {
        "default": "pictures",
        "tooltip": "what a batch is: pictures, each for itself, or the frames of a film, which "
        "help each other and do not flicker (needs `pip install 'impasto[video]'`)",
    },
)
_MORE_STYLES = (STYLES, {"tooltip": "other styles beside this one, from the node More styles"})


def _advanced(title: str) -> tuple[str, dict[str, str]]:
    """Return the input for the advanced options of a node."""
    return _advanced_type(title), {"tooltip": f"from the node {title}: advanced options"}


def _advanced_type(title: str) -> str:
    return f"IMPASTO_{title.upper()}_OPTIONS"


def _recipe(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """Return the recipe that widgets say, on the device that ComfyUI uses if none is named."""
    options = read_widgets(model, values)
    options.setdefault("device", host.device())
    if issubclass(model, StyleRecipe):
        return style_recipe_of(options, model=model)
    return validate(model, options)


def _style(
    image: Tensor,
    region: Tensor | None = None,
    mask: Tensor | None = None,
    weight: float = 1.0,
) -> impasto.Style:
    """Return a style of an IMAGE, whose pictures count alike."""
    pictures = open_batch(image, "style")
    return impasto.Style(
        pictures[0] if len(pictures) == 1 else pictures,
        weight=weight,
        region=only_mask(region, "region"),
        mask=only_mask(mask, "style_mask"),
    )


class MoreStyles:
    """A further style, with its weight, where it goes, and which part of it to learn from."""

    CATEGORY = CATEGORY
    DESCRIPTION = "A further style for the nodes Style, Texture and Fit; several of them chain."
    FUNCTION = "add"
    RETURN_TYPES = (STYLES,)
    RETURN_NAMES = ("styles",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        weight = {
            "default": _WEIGHT["default"],
            "min": float(_WEIGHT["minimum"]),
            "max": _WEIGHT["maximum"],
            "step": 0.05,
            "tooltip": _WEIGHT["description"],
        }
        return {
            "required": {"style": _image("the style image; several in a batch count alike")},
            "optional": {
                "weight": ("FLOAT", weight),
                "region": _mask("where on the content image it goes; elsewhere the others do"),
                "style_mask": _mask("the part of the style image to learn from"),
                "more_styles": _MORE_STYLES,
            },
        }

    @_node
    def add(
        self,
        style: Tensor,
        weight: float = 1.0,
        region: Tensor | None = None,
        style_mask: Tensor | None = None,
        more_styles: tuple = (),
    ) -> tuple:
        """Return the styles so far and this one."""
        return ((*more_styles, _style(style, region, style_mask, weight)),)


class StyleNode:
    """Paint pictures, or the frames of a film, in the style of others."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Paints pictures, or the frames of a film, in the style of any picture."
    FUNCTION = "paint"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "content": _image("the pictures to paint"),
                "style": _image("the style image; several in a batch count alike"),
            },
            "optional": {
                "region": _mask("where on the content image the style goes"),
                "style_mask": _mask("the part of the style image to learn from"),
                "more_styles": _MORE_STYLES,
                "protect": _mask("where the content image stays as it is"),
                "keep": _mask("where the content image is to stay recognizable"),
                "init_image": _image("what the painting starts from, where `init` is picture"),
                "advanced": _advanced("Style"),
                "batch": _BATCH,
                **make_widgets(StyleRecipe, advanced=False),
            },
        }

    @_node
    def paint(
        self,
        content: Tensor,
        style: Tensor,
        region: Tensor | None = None,
        style_mask: Tensor | None = None,
        more_styles: tuple = (),
        protect: Tensor | None = None,
        keep: Tensor | None = None,
        init_image: Tensor | None = None,
        advanced: Mapping[str, Any] | None = None,
        batch: str = "pictures",
        **options: Any,
    ) -> tuple[Tensor]:
        """Return the paintings."""
        options = {**(advanced or {}), **options}
        images = open_batch(content, "content")
        styles = [_style(style, region, style_mask), *more_styles]
        masks = {
            "protect": open_masks(protect, "protect", len(images)),
            "keep": open_masks(keep, "keep", len(images)),
        }
        if batch == "frames":
            if init_image is not None:
                raise ValueError("`init_image` must be left out for frames, got one; unplug it")
            recipe = _recipe(FilmRecipe, options)
            return (to_batch(_film(images, styles, masks, recipe), content),)
        film = {name: options.pop(name) for name in _FILM_OPTIONS if name in options}
        validate(FilmRecipe, read_widgets(FilmRecipe, film))
        if init_image is not None and options.get("init", "recolored") == "recolored":
            options["init"] = "picture"
        recipe = _recipe(StyleRecipe, options)
        start = None if init_image is None else open_batch(init_image, "init_image")[0]

        def stylize(number: int, on_step: Callable[[Any], None]) -> impasto.Result:
            return impasto.stylize(
                images[number],
                styles,
                recipe=recipe,
                init_image=start,
                on_step=on_step,
                stop=host.is_interrupted,
                **{name: each[number] for name, each in masks.items()},
            )

        return (to_batch(_images_of(_run_each(len(images), stylize)), content),)


def _advanced_node(title: str, *models: type[BaseModel]) -> type:
    """Return a node that holds the advanced options of another, which would be too tall with them.

    Args:
        title: of that node.
        models: its recipes; options of the second that the first has not are of films.
    """

    class AdvancedNode:
        CATEGORY = CATEGORY
        DESCRIPTION = f"Advanced options of the node {title}."
        FUNCTION = "give"
        RETURN_TYPES = (_advanced_type(title),)
        RETURN_NAMES = ("advanced",)

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            """Return the inputs, as ComfyUI asks for them."""
            widgets: dict[str, tuple] = {}
            for model in models:
                made = make_widgets(model, without=_OF_FILES + _OF_CLIPS, advanced=True)
                for name, (kind, settings) in made.items():
                    settings = {key: settings[key] for key in settings if key != "advanced"}
                    widgets.setdefault(name, (kind, settings))
            return {"required": {}, "optional": widgets}

        def give(self, **options: Any) -> tuple[dict[str, Any]]:
            """Return what the widgets say."""
            return (options,)

    AdvancedNode.__doc__ = AdvancedNode.DESCRIPTION
    return AdvancedNode


class DenoiseNode:
    """Clean pictures, or the frames of a film, of their noise."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Takes the noise out of pictures or frames, with nothing to learn from but them."
    FUNCTION = "clean"
    RETURN_TYPES = ("IMAGE", "IMAGE", "STRING")
    RETURN_NAMES = ("image", "noise", "diagnosis")
    OUTPUT_TOOLTIPS = (
        "the clean pictures",
        "what was taken away, on mid-gray",
        "the noise that was found, in words",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        return {
            "required": {"image": _image("the noisy pictures")},
            "optional": {
                "batch": _BATCH,
                **make_widgets(DenoiseRecipe, without=_OF_MEASURED_DATA),
            },
        }

    @_node
    def clean(
        self, image: Tensor, batch: str = "pictures", **options: Any
    ) -> tuple[Tensor, Tensor, str]:
        """Return the clean pictures, the noise and the diagnosis."""
        images = open_batch(image, "image")
        if batch == "frames":
            made, words = _clean_frames(images, _recipe(ClipRecipe, options))
        else:
            made, words = _clean_pictures(images, _recipe(DenoiseRecipe, options))
        noise = [
            impasto.Image((0.5 + noisy.pixels - clean.pixels).clamp(0, 1))
            for noisy, clean in zip(images, made, strict=True)
        ]
        return to_batch(made, image), to_batch(noise, image), "\n".join(words)


class TextureNode:
    """Make a texture out of a style alone."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Makes a picture of any size out of a style alone, tileable if you like."
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        return {
            "required": {"style": _image("the style image; several in a batch count alike")},
            "optional": {
                "style_mask": _mask("the part of the style image to learn from"),
                "more_styles": _MORE_STYLES,
                "advanced": _advanced("Texture"),
                **make_widgets(TextureRecipe, advanced=False),
            },
        }

    @_node
    def make(
        self,
        style: Tensor,
        style_mask: Tensor | None = None,
        more_styles: tuple = (),
        advanced: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> tuple[Tensor]:
        """Return the texture."""
        progress = host.Progress()
        result = impasto.texture(
            [_style(style, mask=style_mask), *more_styles],
            recipe=_recipe(TextureRecipe, {**(advanced or {}), **options}),
            on_step=progress.on_step(),
            stop=host.is_interrupted,
        )
        progress.finish()
        return (to_batch([impasto.Image(result.pixels)], style),)


class FitNode:
    """Fit a small network to paint in a style."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Fits a small network to a style, on pictures of your own; Apply paints with it."
    FUNCTION = "fit"
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "photographs": _image("pictures like those to be painted later, in a batch"),
                "style": _image("the style image; several in a batch count alike"),
            },
            "optional": {
                "style_mask": _mask("the part of the style image to learn from"),
                "more_styles": _MORE_STYLES,
                "start": (MODEL, {"tooltip": "a fitted model whose weights to start from"}),
                "advanced": _advanced("Fit"),
                **make_widgets(FitRecipe, advanced=False),
            },
        }

    @_node
    def fit(
        self,
        photographs: Tensor,
        style: Tensor,
        style_mask: Tensor | None = None,
        more_styles: tuple = (),
        start: impasto.Model | None = None,
        advanced: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> tuple[impasto.Model]:
        """Return the fitted model."""
        progress = host.Progress()
        result = impasto.fit(
            open_batch(photographs, "photographs"),
            [_style(style, mask=style_mask), *more_styles],
            recipe=_recipe(FitRecipe, {**(advanced or {}), **options}),
            start=start,
            on_step=progress.on_step(),
            stop=host.is_interrupted,
        )
        progress.finish()
        return (result.model,)


class ApplyNode:
    """Paint pictures with a fitted model."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Paints pictures with a fitted model, in a fraction of a second each."
    FUNCTION = "apply"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "image": _image("the pictures to paint"),
                "model": (MODEL, {"tooltip": "a model from Fit or Load model"}),
            },
            "optional": make_widgets(ApplyRecipe),
        }

    @_node
    def apply(self, image: Tensor, model: impasto.Model, **options: Any) -> tuple[Tensor]:
        """Return the paintings."""
        recipe, images = _recipe(ApplyRecipe, options), open_batch(image, "image")

        def paint(number: int, on_step: Callable[[Any], None]) -> impasto.Result:
            return impasto.apply(
                images[number], model, recipe=recipe, on_step=on_step, stop=host.is_interrupted
            )

        return (to_batch(_images_of(_run_each(len(images), paint)), image),)


class SaveModelNode:
    """Write a fitted model's file below ComfyUI's output folder."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Writes a fitted model's file below the output folder."
    FUNCTION = "save"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        path = {"default": _MODEL_NAME, "tooltip": "its place below the output folder"}
        overwrite = {"default": False, "tooltip": "replace a file that is already there"}
        return {
            "required": {"model": (MODEL, {}), "path": ("STRING", path)},
            "optional": {"overwrite": ("BOOLEAN", overwrite)},
        }

    @_node
    def save(self, model: impasto.Model, path: str, overwrite: bool = False) -> dict[str, Any]:
        """Write the file, and return its path."""
        [place] = _places(path, "output")
        place.parent.mkdir(parents=True, exist_ok=True)
        written = str(model.save(place, overwrite=overwrite))
        return {"ui": {"text": [written]}, "result": (written,)}


class LoadModelNode:
    """Read a fitted model's file from ComfyUI's output or input folder."""

    CATEGORY = CATEGORY
    DESCRIPTION = "Reads a fitted model's file from the output or the input folder."
    FUNCTION = "load"
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as ComfyUI asks for them."""
        path = {"default": _MODEL_NAME, "tooltip": "its place below the output or input folder"}
        return {"required": {"path": ("STRING", path)}}

    @classmethod
    def IS_CHANGED(cls, path: str | None = None) -> str:
        """Return what differs when the file does, so that ComfyUI reads it again."""
        if path is None:  # it comes from another node
            return ""
        try:
            facts = _find_model(path).stat()
        except (OSError, ValueError):  # which `VALIDATE_INPUTS` says
            return ""
        return f"{facts.st_mtime_ns} {facts.st_size}"

    @classmethod
    def VALIDATE_INPUTS(cls, path: str | None = None) -> bool | str:
        """Return True, or why the file cannot be read, before anything runs."""
        if path is None:  # it comes from another node
            return True
        try:
            impasto.Model.load(_find_model(path))
        except (impasto.ImpastoError, ValueError) as error:
            return str(error)
        return True

    @_node
    def load(self, path: str) -> tuple[impasto.Model]:
        """Return the model."""
        return (impasto.Model.load(_find_model(path)),)


def _film(
    images: list[impasto.Image],
    styles: list[impasto.Style],
    masks: Mapping[str, list[Tensor | None]],
    recipe: FilmRecipe,
) -> list[impasto.Image]:
    """Paint the frames of a film."""
    progress = host.Progress(len(images))
    done = 0

    def on_frame(step: impasto.FilmStep) -> None:
        nonlocal done
        done = step.frame
        progress.report(done, step.picture)

    with frame_folder() as folder:
        impasto.film(
            folder.write(images, "clip"),
            styles,
            folder.output,
            recipe=recipe,
            on_frame=on_frame,
            on_step=lambda step: progress.on_step(done)(step),
            stop=host.is_interrupted,
            sidecar=False,
            **{name: folder.write_masks(each, name) for name, each in masks.items()},
        )
        progress.finish()
        return folder.read()


def _clean_frames(
    images: list[impasto.Image], recipe: ClipRecipe
) -> tuple[list[impasto.Image], list[str]]:
    """Clean the frames of a film; returns them and the noise of each scene in words."""
    progress = host.Progress(len(images))
    with frame_folder() as folder:
        result = impasto.denoise_clip(
            folder.write(images, "clip"),
            folder.output,
            recipe=recipe,
            on_frame=lambda step: progress.report(step.frame, step.picture),
            stop=host.is_interrupted,
            sidecar=False,
        )
        progress.finish()
        made = folder.read()
    return made, [diagnosis.words for _, diagnosis in result.scenes]


def _clean_pictures(
    images: list[impasto.Image], recipe: DenoiseRecipe
) -> tuple[list[impasto.Image], list[str]]:
    """Clean pictures, each for itself; returns them and their noise in words."""

    def clean(number: int, on_step: Callable[[Any], None]) -> impasto.DenoiseResult:
        return impasto.denoise(images[number], recipe=recipe, on_step=on_step)

    results = _run_each(len(images), clean)
    return _images_of(results), [result.diagnosis.words for result in results]


def _run_each(count: int, run: Callable[[int, Callable[[Any], None]], R]) -> list[R]:
    """Run a method on pictures, one after the other, with one bar for all of them.

    Args:
        count: how many pictures.
        run: takes the number of one, from 0, and its `on_step`.
    """
    progress, results = host.Progress(count), []
    for number in range(count):
        results.append(run(number, progress.on_step(number)))
        host.check_interrupt()
    progress.finish()
    return results


def _images_of(results: Sequence[Any]) -> list[impasto.Image]:
    """Return what was made, with its opacity."""
    return [impasto.Image(result.pixels, result.metadata) for result in results]


def _places(path: str, *kinds: str) -> list[Path]:
    """Return where a model's file may lie, in ComfyUI's folders of these kinds and nowhere else.

    Raises:
        ValueError: the path leads out of them, or has another ending.
    """
    name = Path(path.strip())
    if name.suffix != ENDING:
        raise ValueError(f"`path` must end in {ENDING}, got {quote(path)}; rename it")
    places = [(folder / name).resolve() for folder in host.folders(*kinds)]
    roots = [folder.resolve() for folder in host.folders(*kinds)]
    inside = [place for place in places if any(place.is_relative_to(root) for root in roots)]
    if not inside:
        raise ValueError(
            f"`path` must lie in ComfyUI's {' or '.join(kinds)} folder, got {quote(path)}; give "
            f"it as from there, such as {_MODEL_NAME}"
        )
    return list(dict.fromkeys(inside))


def _find_model(path: str) -> Path:
    """Return the first of the places of a model's file that holds one, or the first."""
    places = _places(path, "output", "input")
    return next((place for place in places if place.is_file()), places[0])


_NODES = {
    "ImpastoStyle": (StyleNode, "Style (impasto)"),
    "ImpastoStyleAdvanced": (
        _advanced_node("Style", StyleRecipe, FilmRecipe),
        "Style: advanced options (impasto)",
    ),
    "ImpastoTextureAdvanced": (
        _advanced_node("Texture", TextureRecipe),
        "Texture: advanced options (impasto)",
    ),
    "ImpastoFitAdvanced": (
        _advanced_node("Fit", FitRecipe),
        "Fit: advanced options (impasto)",
    ),
    "ImpastoMoreStyles": (MoreStyles, "More styles (impasto)"),
    "ImpastoDenoise": (DenoiseNode, "Denoise (impasto)"),
    "ImpastoTexture": (TextureNode, "Texture (impasto)"),
    "ImpastoFit": (FitNode, "Fit a model (impasto)"),
    "ImpastoApply": (ApplyNode, "Apply a model (impasto)"),
    "ImpastoSaveModel": (SaveModelNode, "Save model (impasto)"),
    "ImpastoLoadModel": (LoadModelNode, "Load model (impasto)"),
}
NODE_CLASS_MAPPINGS = {name: node for name, (node, _) in _NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {name: title for name, (_, title) in _NODES.items()}
