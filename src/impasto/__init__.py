"""impasto: paint any photograph in the style of any picture, and clean any noisy one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from impasto._version import __version__ as __version__

if TYPE_CHECKING:
    from impasto.api import reconstruct as reconstruct
    from impasto.api import stylize as stylize
    from impasto.api import texture as texture
    from impasto.client import Client as Client
    from impasto.denoising.denoise import denoise as denoise
    from impasto.denoising.denoise import denoise_stack as denoise_stack
    from impasto.denoising.diagnose import diagnose as diagnose
    from impasto.errors import ImageError as ImageError
    from impasto.errors import ImageFileError as ImageFileError
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.errors import MemoryShortageError as MemoryShortageError
    from impasto.errors import OptionError as OptionError
    from impasto.errors import WeightsError as WeightsError
    from impasto.filming.clean import denoise_clip as denoise_clip
    from impasto.filming.film import film as film
    from impasto.filming.result import ClipResult as ClipResult
    from impasto.filming.result import ClipStep as ClipStep
    from impasto.filming.result import FilmResult as FilmResult
    from impasto.filming.result import FilmStep as FilmStep
    from impasto.images.image import Image as Image
    from impasto.images.image import ImageMetadata as ImageMetadata
    from impasto.images.read import open_image as open_image
    from impasto.images.write import save as save
    from impasto.metrics import psnr as psnr
    from impasto.metrics import ssim as ssim
    from impasto.models.fit import FitResult as FitResult
    from impasto.models.fit import fit as fit
    from impasto.models.model import Model as Model
    from impasto.models.model import apply as apply
    from impasto.models.model_file import ModelError as ModelError
    from impasto.notebook import Watch as Watch
    from impasto.presets import PRESETS as PRESETS
    from impasto.recipes import ApplyRecipe as ApplyRecipe
    from impasto.recipes import ClipRecipe as ClipRecipe
    from impasto.recipes import DenoiseRecipe as DenoiseRecipe
    from impasto.recipes import FilmRecipe as FilmRecipe
    from impasto.recipes import FitRecipe as FitRecipe
    from impasto.recipes import ReconstructRecipe as ReconstructRecipe
    from impasto.recipes import StyleRecipe as StyleRecipe
    from impasto.recipes import TextureRecipe as TextureRecipe
    from impasto.replay import rerun as rerun
    from impasto.result import DenoiseResult as DenoiseResult
    from impasto.result import Diagnosis as Diagnosis
    from impasto.result import Losses as Losses
    from impasto.result import Result as Result
    from impasto.result import Step as Step
    from impasto.style.source import Style as Style
    from impasto.synthetic_noise import add_noise as add_noise

# Public name -> its module. Loaded on first use, since importing torch takes seconds.
_PUBLIC = {
    "ApplyRecipe": "recipes",
    "Client": "client",
    "ClipRecipe": "recipes",
    "ClipResult": "filming.result",
    "ClipStep": "filming.result",
    "DenoiseRecipe": "recipes",
    "DenoiseResult": "result",
    "Diagnosis": "result",
    "FilmRecipe": "recipes",
    "FilmResult": "filming.result",
    "FilmStep": "filming.result",
    "FitRecipe": "recipes",
    "FitResult": "models.fit",
    "Image": "images.image",
    "ImageError": "errors",
    "ImageFileError": "errors",
    "OptionError": "errors",
    "ImageMetadata": "images.image",
    "ImpastoError": "errors",
    "Losses": "result",
    "MemoryShortageError": "errors",
    "Model": "models.model",
    "ModelError": "models.model_file",
    "PRESETS": "presets",
    "ReconstructRecipe": "recipes",
    "Result": "result",
    "Step": "result",
    "Style": "style.source",
    "StyleRecipe": "recipes",
    "TextureRecipe": "recipes",
    "Watch": "notebook",
    "WeightsError": "errors",
    "add_noise": "synthetic_noise",
    "apply": "models.model",
    "denoise": "denoising.denoise",
    "denoise_clip": "filming.clean",
    "denoise_stack": "denoising.denoise",
    "diagnose": "denoising.diagnose",
    "film": "filming.film",
    "fit": "models.fit",
    "open_image": "images.read",
    "psnr": "metrics",
    "reconstruct": "api",
    "rerun": "replay",
    "save": "images.write",
    "ssim": "metrics",
    "stylize": "api",
    "texture": "api",
}

# Names of earlier versions -> the names that replace them; they go with the next release.
_DEPRECATED = {
    "Carried": "ImageMetadata",
    "Picture": "Image",
    "PictureError": "ImageError",
    "open_picture": "open_image",
    "paint": "stylize",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _DEPRECATED:
        import warnings

        new = _DEPRECATED[name]
        warnings.warn(
            f"impasto.{name} is now impasto.{new}; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        name = new
    if name not in _PUBLIC:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(f"impasto.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
