"""Stand-ins for the rooms that run the network, so that the command line is tested by itself.

Run as a script, it is `impasto` with these in place: `python fake_rooms.py style a.png b.png`.
"""

import dataclasses
import importlib.util
import io
import os
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from impasto.errors import PictureError
from impasto.picture.record import Carried, Picture
from impasto.result import Losses, Result, Step

CALLS: list[dict] = []  # what the stand-ins were called with, latest last


def seen(path):
    """The values of a picture file, (H, W) or (H, W, 3)."""
    with Image.open(path) as image:
        return np.array(image)


def run(picture, recipe, on_step):
    """Step through a run as the real thing would; every step costs FAKE_SLEEP seconds."""
    history, stopped = [], False
    pixels = picture.pixels.expand(3, -1, -1).contiguous()
    for evaluation in range(1, recipe.steps + 1):
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
        losses = Losses(3.0 / evaluation, 1.0 / evaluation, 2.0 / evaluation)
        history.append(losses)
        size = pixels.shape[-1], pixels.shape[-2]
        step = Step(
            evaluation, recipe.steps, 1, 1, size, losses, evaluation / 10, lambda: pixels.clone()
        )
        try:
            if on_step:
                on_step(step)
        except StopIteration:
            stopped = True
            break
    return Result(
        pixels=pixels,
        carried=dataclasses.replace(picture.carried, recipe=None),
        recipe=recipe,
        history=tuple(history),
        scale_starts=(0,),
        losses=history[-1],
        evaluations=len(history),
        seconds=len(history) / 10,
        device="cpu",
        precision="float32",
        stopped=stopped,
    )


def stylize(content, style, *, recipe=None, on_step=None, init_picture=None, **options):
    CALLS.append({"content": content, "style": style, "recipe": recipe, "init": init_picture})
    if message := os.environ.get("FAKE_FAILURE"):
        raise {"memory": MemoryError, "torch": torch.OutOfMemoryError}.get(message, RuntimeError)(
            message
        )
    return run(content, recipe, on_step)


def reconstruct(image, *, recipe=None, on_step=None, **options):
    CALLS.append({"image": image, "recipe": recipe})
    return run(image, recipe, on_step)


def demo(folder, *, on_step=None, overwrite=False):
    CALLS.append({"folder": folder, "overwrite": overwrite})
    for number in (1, 2):
        on_step(Step(number, 2, 1, 1, (8, 8), Losses(1, 0, 1), 1.0, lambda: None))
    return {"content": Path(folder) / "content.png", "result": Path(folder) / "result.png"}


def open_picture(source, *, name="picture"):
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        image.load()
    except FileNotFoundError:
        raise PictureError(f"`{name}` {source} does not exist; check the path") from None
    except (OSError, SyntaxError):
        raise PictureError(f"`{name}` is no picture impasto knows; give a JPEG") from None
    values = np.asarray(image.convert("L" if image.mode == "L" else "RGB"), np.float32) / 255
    pixels = torch.from_numpy(values if values.ndim == 3 else values[..., None]).permute(2, 0, 1)
    return Picture(pixels, Carried(format=image.format, recipe=image.info.get("impasto")))


def describe(path):
    picture = open_picture(path)
    return {
        "file": str(path),
        "format": picture.carried.format,
        "size": list(picture.size),
        "recipe": picture.carried.recipe,
    }


def check_output(path, *, overwrite=False, inputs=()):
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise ValueError(f"`path` must end in .png or the like, got {str(path)!r}; rename it")
    if target.resolve() in [Path(given).resolve() for given in inputs]:
        raise ValueError(f"`path` must not be an input, got {str(path)!r}; choose another name")
    if target.exists() and not overwrite:
        raise PictureError(f"{target} already exists; choose another name")
    if not target.parent.is_dir():
        raise PictureError(f"the folder {target.parent} does not exist; create it first")
    return target


def encode(
    pixels, format="PNG", *, carried=None, recipe=None, bits=None, quality=None, strip_gps=False
):
    from PIL.PngImagePlugin import PngInfo

    if bits == 16 and format == "JPEG":
        raise ValueError("`bits` must be 8 for JPEG, got 16; choose .png")
    image = Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    buffer, extra = io.BytesIO(), PngInfo()
    if format == "PNG" and recipe:
        extra.add_text("impasto", recipe)
    image.save(buffer, format, **({"pnginfo": extra} if format == "PNG" else {}))
    return buffer.getvalue()


def save(pixels, path, *, carried=None, recipe=None, overwrite=False, inputs=(), **settings):
    target = check_output(path, overwrite=overwrite, inputs=inputs)
    target.write_bytes(encode(pixels, ENDINGS[target.suffix.lower()], recipe=recipe, **settings))
    return target


ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".avif": "AVIF"}

NETWORK = {
    "impasto.style.stylize": {"stylize": stylize},
    "impasto.style.reconstruct": {"reconstruct": reconstruct},
    "impasto.demo.run": {"demo": demo},
    "impasto.compute.device": {
        "choose": lambda device: torch.device("cpu"),
        "precision": lambda device, wanted="auto": torch.float32,
    },
    "impasto.vgg.weights": {"load": lambda weights="oxford": {}},
}
PICTURES = {
    "impasto.picture.formats": {"ENDINGS": ENDINGS, "FORMATS": tuple(ENDINGS.values())},
    "impasto.picture.read": {"open_picture": open_picture, "describe": describe},
    "impasto.picture.write": {"save": save, "encode": encode, "check_output": check_output},
}


def modules():
    """Module name -> stand-in: the network's always, the pictures' where there are no real ones."""
    wanted = dict(NETWORK)
    if importlib.util.find_spec("impasto.picture.write") is None:
        wanted |= PICTURES
    made = {}
    for name, contents in wanted.items():
        made[name] = types.ModuleType(name)
        vars(made[name]).update(contents)
    return made


if __name__ == "__main__":
    sys.modules.update(modules())
    from impasto.cli.main import main

    sys.exit(main())
