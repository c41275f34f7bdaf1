"""Stand-ins for the rooms that run the network, so that the command line is tested by itself.

Run as a script, it is `impasto` with these in place: `python fake_rooms.py style a.png b.png`.
"""

import dataclasses
import os
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image

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
    steps = 300 if recipe.steps == "auto" else recipe.steps
    for evaluation in range(1, steps + 1):
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
        losses = Losses(total=3.0 / evaluation, content=1.0 / evaluation, style=2.0 / evaluation)
        history.append(losses)
        size = pixels.shape[-1], pixels.shape[-2]
        left = steps - evaluation
        seconds = evaluation / 10
        step = Step(evaluation, steps, 1, 1, size, losses, seconds, left, pixels.clone)
        try:
            if on_step:
                on_step(step)
        except StopIteration:
            stopped = True
            break
    return Result(
        pixels=pixels,
        metadata=dataclasses.replace(picture.metadata, recipe=None),
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


def stylize(content, style, *, recipe=None, on_step=None, init_image=None, **options):
    CALLS.append({"content": content, "style": style, "recipe": recipe, "init": init_image})
    CALLS[-1] |= {name: options.get(name) for name in ("protect", "keep")}
    CALLS[-1]["checkpoint"] = options.get("checkpoint")
    if message := os.environ.get("FAKE_FAILURE"):
        raise {"memory": MemoryError, "torch": torch.OutOfMemoryError}.get(message, RuntimeError)(
            message
        )
    return run(content, recipe, on_step)


def reconstruct(image, *, recipe=None, on_step=None, **options):
    CALLS.append({"image": image, "recipe": recipe, "checkpoint": options.get("checkpoint")})
    return run(image, recipe, on_step)


def demo(folder, *, on_step=None, overwrite=False, on_rescue=None):
    CALLS.append({"folder": folder, "overwrite": overwrite})
    for number in (1, 2):
        on_step(
            Step(
                number, 2, 1, 1, (8, 8), Losses(total=1, content=0, style=1), 1.0, 1.0, lambda: None
            )
        )
    return {"content": Path(folder) / "content.png", "result": Path(folder) / "result.png"}


NETWORK = {
    "impasto.style.stylize": {"transfer_style": stylize, "plan_style": lambda *_, **__: None},
    "impasto.style.reconstruct": {
        "reconstruct": reconstruct,
        "plan_reconstruction": lambda *_, **__: None,
    },
    "impasto.style.texture": {
        "texture": lambda *_, **__: None,
        "plan_texture": lambda *_, **__: None,
    },
    "impasto.demo": {"demo": demo},
    "impasto.device": {
        "select_device": lambda device: torch.device("cpu"),
        "select_precision": lambda device, precision="auto": torch.float32,
    },
    "impasto.vgg.weights": {"load_weights": lambda weights="oxford": {}},
}


def modules():
    """Module name -> stand-in."""
    made = {}
    for name, contents in NETWORK.items():
        made[name] = types.ModuleType(name)
        vars(made[name]).update(contents)
    return made


if __name__ == "__main__":
    sys.modules.update(modules())
    from impasto.cli.main import main

    sys.exit(main())
