"""Seconds until a part of a large picture is seen clean, before and after its noise is known.

    python benchmarks/look.py --data PICTURE [--megapixels 24] [--side 512] [--noise gaussian:25]
        [--shared]

The picture, mirrored at its borders until it has so many megapixels, gets noise. Its middle square
is denoised as it is in the whole (`crop`), then another one beside it with what was measured kept,
as the page's server keeps it, and then all of it. `--shared` smooths the noise, so that neighboring
pixels share it. The last line is JSON: seconds of each, and `ratio`, the whole over the first look.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from denoise_quality import noise_of
from denoise_speed import enlarge
from torch import Tensor
from torch.nn import functional as F

import impasto
from impasto.denoising.measurements import Measurements


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--noise", default="gaussian:25", help="its level of 255")
    parser.add_argument("--shared", action="store_true")
    arguments = parser.parse_args()
    kind, level = noise_of(arguments.noise)
    if kind != "gaussian":
        raise SystemExit("--noise must be gaussian:LEVEL")
    picture = enlarge(impasto.open_image(arguments.data).pixels, arguments.megapixels)
    noisy = picture + level / 255 * grain(picture, arguments.shared)
    impasto.denoise(noisy[:, :64, :64].clone())  # what is loaded and compiled on first use
    measurements = Measurements()
    height, width = noisy.shape[1:]
    side = arguments.side
    left, top = (width - side) // 2, (height - side) // 2
    report = {"megapixels": round(height * width / 1e6, 1), "side": side}
    for name, crop in (
        ("first look", (left, top, side, side)),
        ("next look", (left - side // 2, top, side, side)),
        ("whole", "whole"),
    ):
        begin = time.perf_counter()
        result = impasto.denoise(noisy, crop=crop, measurements=measurements)
        report[name] = round(time.perf_counter() - begin, 1)
        print(f"{name:11s}{report[name]:7.1f} s  {result.diagnosis.kind}", flush=True)
    report["kind"] = result.diagnosis.kind
    report["ratio"] = round(report["whole"] / report["first look"], 1)
    print(json.dumps(report))


def grain(picture: Tensor, shared: bool) -> Tensor:
    """Noise of deviation 1 and the picture's shape; neighbors share it if it is to be smooth."""
    noise = torch.randn(picture.shape, generator=torch.manual_seed(0))
    if not shared:
        return noise
    smooth = F.avg_pool2d(noise[None], 3, stride=1, padding=1)[0]
    return smooth / smooth.std()


if __name__ == "__main__":
    main()
