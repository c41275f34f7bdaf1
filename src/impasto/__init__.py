"""impasto: paint any photograph in the style of any picture, and clean any noisy one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.denoising.denoise import denoise as denoise
    from impasto.denoising.denoise import denoise_stack as denoise_stack
    from impasto.denoising.diagnosis import diagnose as diagnose
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.errors import MemoryShortageError as MemoryShortageError
    from impasto.errors import PictureError as PictureError
    from impasto.errors import WeightsError as WeightsError
    from impasto.measure.noise import add_noise as add_noise
    from impasto.measure.quality import psnr as psnr
    from impasto.measure.quality import ssim as ssim
    from impasto.notebook import Watch as Watch
    from impasto.painting import paint as paint
    from impasto.picture.read import open_picture as open_picture
    from impasto.picture.record import Carried as Carried
    from impasto.picture.record import Picture as Picture
    from impasto.picture.write import save as save
    from impasto.presets import PRESETS as PRESETS
    from impasto.recipe import DenoiseRecipe as DenoiseRecipe
    from impasto.recipe import ReconstructRecipe as ReconstructRecipe
    from impasto.recipe import StyleRecipe as StyleRecipe
    from impasto.recipe import TextureRecipe as TextureRecipe
    from impasto.repetition import rerun as rerun
    from impasto.result import DenoiseResult as DenoiseResult
    from impasto.result import Diagnosis as Diagnosis
    from impasto.result import Losses as Losses
    from impasto.result import Result as Result
    from impasto.result import Step as Step
    from impasto.style.reconstruct import reconstruct as reconstruct
    from impasto.style.source import Style as Style
    from impasto.style.stylize import stylize as stylize
    from impasto.style.texture import texture as texture

# Public name -> the module it lives in; loaded on first use, since torch takes seconds.
_DOOR = {
    "PRESETS": "presets",
    "Carried": "picture.record",
    "DenoiseRecipe": "recipe",
    "DenoiseResult": "result",
    "Diagnosis": "result",
    "ImpastoError": "errors",
    "Losses": "result",
    "MemoryShortageError": "errors",
    "Picture": "picture.record",
    "PictureError": "errors",
    "ReconstructRecipe": "recipe",
    "Result": "result",
    "Step": "result",
    "Style": "style.source",
    "StyleRecipe": "recipe",
    "TextureRecipe": "recipe",
    "Watch": "notebook",
    "WeightsError": "errors",
    "add_noise": "measure.noise",
    "denoise": "denoising.denoise",
    "denoise_stack": "denoising.denoise",
    "diagnose": "denoising.diagnosis",
    "open_picture": "picture.read",
    "paint": "painting",
    "psnr": "measure.quality",
    "reconstruct": "style.reconstruct",
    "rerun": "repetition",
    "save": "picture.write",
    "ssim": "measure.quality",
    "stylize": "style.stylize",
    "texture": "style.texture",
}

__all__ = sorted(_DOOR)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(f"impasto.{_DOOR[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
