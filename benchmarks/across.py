"""What planes gain that help each other, and the memory that a long stack takes.

    python benchmarks/across.py --data DIR [--planes 12] [--size 192] [--pictures 2]
        [--long 500] [--long-size 160] [--long-only] [--threads N] [--sheet FILE.png]

Stacks are made of clean pictures, a folder of them, and get noise: sigma 25 of 255 that is not
clamped, or what their name says. `moving` slides a window over a picture by 2 and 3 pixels a plane,
`subpixel` by 1.4 and 0.7, `fast` by 12 and 9, `still` not at all; `depth` gets out of focus, and
turns into another picture; `cut` shows one picture in its first half and another in its second;
`unrelated` shows another one in each plane. Each is denoised with `--across auto`, and with `none`.
A long stack, which is computed plane by plane as it is read, is written by `denoise_stack` in a
process of its own; its memory after a tenth of the planes and the most it takes are compared.
Prints a row per stack; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import impasto
from impasto.denoising.filters import gaussian_blur
from impasto.images.stack import Stack
from impasto.images.write import save

SIGMA = 25 / 255
PHOTONS = 25.0  # of white
STEPS = {"moving": (2, 3), "subpixel": (1.4, 0.7), "fast": (12, 9), "still": (0, 0)}
_MARGIN = 40  # pixels of a picture that are left out


def main() -> None:
    arguments = parse()
    if arguments.long_only:
        print(json.dumps(measure_long(arguments.long, arguments.long_size)))
        return
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    files = sorted(Path(arguments.data).iterdir(), key=lambda file: (len(file.name), file.name))
    pictures = [impasto.open_image(file).pixels for file in files]
    figures: dict[str, dict] = {}
    rows = []
    for name, clean, add_noise in stacks(pictures, arguments):
        noisy = add_noise(clean)
        line, results = {}, []
        for across in ("auto", "none"):
            start = time.monotonic()
            result = impasto.denoise(noisy.numpy(), axes="TCYX", across=across)
            seconds = (time.monotonic() - start) / len(clean)
            line[across] = {"psnr": psnr(result.pixels, clean), "seconds": round(seconds, 3)}
            results.append(result)
        line["gain"] = round(line["auto"]["psnr"] - line["none"]["psnr"], 3)
        line["helped"] = sum(p.across is not None for p in results[0].diagnosis.planes)
        print(f"{name:24} {line}", flush=True)
        figures[name] = line
        middle = len(clean) // 2
        rows.append((noisy[middle], results[1].pixels[middle], results[0].pixels[middle]))
        rows[-1] += (clean[middle],)
    if arguments.sheet:
        sheet = torch.cat([torch.cat(row, 2) for row in rows], 1)
        save(sheet.clamp(0, 1), arguments.sheet, overwrite=True)
    if arguments.long:
        figures["long"] = run_long(arguments)
        print(f"long {figures['long']}")
    print(json.dumps(figures))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--planes", type=int, default=12)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--long", type=int, default=500)
    parser.add_argument("--long-size", type=int, default=160)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sheet")
    parser.add_argument("--long-only", action="store_true", help="measure the long stack alone")
    return parser.parse_args()


def stacks(pictures: list[Tensor], arguments: argparse.Namespace):
    """Yield the name of each stack, its planes (T, C, H, W), and what makes them noisy."""
    planes, size = arguments.planes, arguments.size
    for number in range(arguments.pictures):
        picture = pictures[number]
        for name, step in STEPS.items():
            yield f"{name} {number + 1}", slide(picture, step, planes, size), gaussian
    first, second = (crop(picture, size) for picture in pictures[:2])
    shares = torch.linspace(0, 1, planes)
    focus = [gaussian_blur(first, 0.3 + 2.5 * float(share)) for share in shares]
    blend = [(1 - share) * a + share * second for share, a in zip(shares, focus, strict=True)]
    yield "depth", torch.stack(blend), gaussian
    moving = slide(pictures[1], STEPS["moving"], planes, size)
    yield "moving, photons", moving, poisson
    yield "moving, shared noise", moving, shared
    halves = [slide(picture, (2, 3), planes // 2, size) for picture in pictures[:2]]
    yield "cut", torch.cat(halves), gaussian
    others = [crop(picture, size) for picture in pictures[:planes]]
    yield "unrelated", torch.stack(others), gaussian


def crop(picture: Tensor, size: int) -> Tensor:
    return picture[:, _MARGIN : _MARGIN + size, _MARGIN : _MARGIN + size]


def slide(picture: Tensor, step: tuple[float, float], planes: int, size: int) -> Tensor:
    """Return windows of a picture (C, H, W), each moved by a step: (T, C, size, size)."""
    windows = []
    for number in range(planes):
        down, across = (_MARGIN + number * by for by in step)
        if down == int(down) and across == int(across):
            top, left = int(down), int(across)
            windows.append(picture[:, top : top + size, left : left + size])
            continue
        axes = [
            (torch.arange(size) + start) * 2 / (side - 1) - 1
            for start, side in zip((down, across), picture.shape[1:], strict=True)
        ]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)[None]
        windows.append(F.grid_sample(picture[None], grid, "bicubic", align_corners=True)[0])
    return torch.stack(windows)


def gaussian(clean: Tensor) -> Tensor:
    return clean + SIGMA * torch.randn(clean.shape, generator=torch.manual_seed(0))


def poisson(clean: Tensor) -> Tensor:
    return torch.poisson(PHOTONS * clean.clamp(min=0), generator=torch.manual_seed(0)) / PHOTONS


def shared(clean: Tensor) -> Tensor:
    white = torch.randn(clean.shape, generator=torch.manual_seed(0))
    noise = torch.stack([gaussian_blur(plane, 0.7) for plane in white])
    return clean + SIGMA * noise / noise.std()


def psnr(planes: Tensor, clean: Tensor) -> float:
    """Return the mean over planes of the peak signal-to-noise ratio, white being 1."""
    errors = (planes - clean).square().mean((1, 2, 3))
    return round(float(-10 * errors.log10().mean()), 3)


def run_long(arguments: argparse.Namespace) -> dict:
    """Measure a long stack in a process of its own."""
    command = [sys.executable, __file__, "--data", arguments.data, "--long-only"]
    command += ["--long", str(arguments.long), "--long-size", str(arguments.long_size)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_long(planes: int, size: int) -> dict:
    """Denoise a stack that is computed as it is read, and measure memory on the way, in MiB."""
    stack = Stack(LazyPlanes(planes, size), "TYX", 1 / 65535)
    resident: list[float] = []
    numbers: list[int] = []

    def watch(step) -> None:
        if not numbers or step.scale != numbers[-1]:
            numbers.append(step.scale)
            resident.append(resident_mib())

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.tif"
        impasto.denoise_stack(stack, path, effort="quick", on_step=watch)
    seconds = time.monotonic() - start
    early = max(r for r, number in zip(resident, numbers, strict=True) if number <= planes / 10)
    return {
        "planes": planes,
        "size": size,
        "seconds_a_plane": round(seconds / planes, 4),
        "mib_after_a_tenth": round(early, 1),
        "mib_at_most": round(max(resident), 1),
    }


def resident_mib() -> float:
    """Return the memory of this process, without files that are mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return int(sizes["RssAnon"]) / 1024


class LazyPlanes:
    """Planes of a scene that moves, with noise; each is computed when it is read."""

    dtype = np.dtype(np.uint16)

    def __init__(self, planes: int, size: int) -> None:
        self.shape = (planes, size, size)
        rows = np.arange(2 * size)[:, None]
        columns = np.arange(2 * size)
        waves = np.sin(rows / 5) * np.sin(columns / 7) + np.sin((rows + 2 * columns) / 11)
        self._scene = 20_000 + 4_000 * waves

    def __getitem__(self, slices: tuple) -> np.ndarray:
        number, size = int(slices[0]), self.shape[1]
        start = size // 2 + round(size / 3 * np.sin(number / 20))
        plane = self._scene[start : start + size, start : start + size]
        noise = np.random.default_rng(number).normal(0, 1_500, plane.shape)
        return np.rint(plane + noise)[slices[1:]].astype(self.dtype)


if __name__ == "__main__":
    main()
