"""What frames of a film gain that help each other: noise, flicker and time.

    python benchmarks/clip.py --clip FILE [--start 0] [--frames 12] [--sigma 25] [--size W,H]
        [--compressed FILE.mp4] [--keep DIR] [OPTION=VALUE ...]

Frames of a clean clip, or their centers, get Gaussian noise of `sigma` of 255 and become numbered
PNGs; with --compressed they become that video instead, so that codec and chroma subsampling come
between noise and filter. Rows: `noisy`, these frames; `each` cleaned by `impasto.denoise`, with its
noise measured; `own`, `impasto.denoise_clip` with `across` none; `together`, with auto. PSNR is the
mean over frames against the clean ones, in dB. Flicker is told where the clean clip stands still:
the root mean square of what the mean error of squares of 8 pixels changes from one frame to the
next, in levels of 255. An OPTION is any of `ClipRecipe`. Prints a row each; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import impasto
from impasto.images.read import open_image
from impasto.images.video_read import open_clip
from impasto.images.video_write import write_film
from impasto.images.write import save
from impasto.recipes import ClipRecipe
from impasto.validation import validate

SIDE = 8  # pixels of the squares whose light is compared
STILL = 2 / 255  # most that pixels of a square which stands still change


def main() -> None:
    arguments = parse()
    options = {name: number(text) for name, text in (o.split("=") for o in arguments.options)}
    validate(ClipRecipe, options)
    clip = open_clip(arguments.clip)
    stop = arguments.start + arguments.frames
    clean = torch.stack([frame.pixels for frame in clip.read(arguments.start, stop)])
    if arguments.size:
        clean = center(clean, *map(int, arguments.size.split(",")))
    generator = torch.manual_seed(0)
    noisy = clean + arguments.sigma / 255 * torch.randn(clean.shape, generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        rows = run(Path(folder), noisy.clamp(0, 1), clip.rate, options, arguments)
    facts = {}
    print(f"{'':12s}{'psnr':>8s}{'flicker':>9s}{'s/frame':>9s}")
    for name, (frames, seconds) in rows.items():
        row = {"psnr": psnr(frames, clean), "flicker": flicker(frames, clean), "seconds": seconds}
        print(f"{name:12s}{row['psnr']:8.2f}{row['flicker']:9.3f}{seconds:9.2f}")
        facts[name.replace(" ", "_")] = {key: round(value, 3) for key, value in row.items()}
        if arguments.keep:
            keep(Path(arguments.keep), name, frames)
    gain = facts["together"]["psnr"] - facts["each"]["psnr"]
    kind = {
        "source": Path(arguments.clip).name,
        "frames": len(clean),
        "size": [*clean.shape[:1:-1]],
    }
    facts |= {"sigma": arguments.sigma, "compressed": bool(arguments.compressed), **kind}
    print(json.dumps({**facts, "gain": round(gain, 3)}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--sigma", type=float, default=25)
    parser.add_argument("--size", help="width and height of the center that is used")
    parser.add_argument("--compressed", help="video to write the noisy frames to")
    parser.add_argument("--keep", help="folder to leave the middle frame of each row in")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    return parser.parse_args()


def run(
    folder: Path, noisy: Tensor, rate: Fraction, options: dict, arguments: argparse.Namespace
) -> dict[str, tuple[Tensor, float]]:
    """Return the frames of each row and the seconds that one took."""
    source = folder / "in"
    if arguments.compressed:
        source = Path(arguments.compressed)
        write_film(lambda: iter(noisy), len(noisy), source, rate)
    else:
        source.mkdir()
        for index, frame in enumerate(noisy):
            save(frame, source / f"{index:04}.png")
    frames = torch.stack([frame.pixels for frame in open_clip(source).read()])
    impasto.denoise(frames[0, :, :64, :64])  # loads what is loaded once
    plain = {name: value for name, value in options.items() if name not in ("range", "rate")}
    plain.pop("across", None)

    def each() -> Tensor:
        return torch.stack([impasto.denoise(impasto.Image(f), **plain).pixels for f in frames])

    def together(across: str) -> Tensor:
        impasto.denoise_clip(source, folder / across, **{**options, "across": across})
        return torch.stack([open_image(p).pixels for p in sorted((folder / across).glob("*.png"))])

    rows = {"noisy": (frames, 0.0)}
    rows["each"] = timed(each, len(frames))
    rows["own"] = timed(lambda: together("none"), len(frames))
    rows["together"] = timed(lambda: together("auto"), len(frames))
    return rows


def timed(work: Callable[[], Tensor], frames: int) -> tuple[Tensor, float]:
    began = time.perf_counter()
    made = work()
    return made, (time.perf_counter() - began) / frames


def center(frames: Tensor, width: int, height: int) -> Tensor:
    top, left = (frames.shape[2] - height) // 2, (frames.shape[3] - width) // 2
    return frames[..., top : top + height, left : left + width].contiguous()


def psnr(frames: Tensor, clean: Tensor) -> float:
    """Return the mean over frames of the peak signal-to-noise ratio, white being 1."""
    frames = frames[..., : clean.shape[2], : clean.shape[3]]
    errors = (frames - clean[..., : frames.shape[2], : frames.shape[3]]).square().mean((1, 2, 3))
    return float(-10 * errors.log10().mean())


def flicker(frames: Tensor, clean: Tensor) -> float:
    """Return how much the error of what stands still changes between frames, in levels."""
    clean = clean[..., : frames.shape[2], : frames.shape[3]]
    errors = F.avg_pool2d((frames - clean).mean(1), SIDE)
    changes = []
    for number, (before, after) in enumerate(pairwise(clean)):
        most = F.max_pool2d((after - before).abs().amax(0)[None], SIDE)[0]
        changes.append((errors[number + 1] - errors[number])[most <= STILL])
    still = torch.cat(changes)
    return float(still.square().mean().sqrt()) * 255 if len(still) else 0.0


def number(text: str) -> str | float:
    """Return a number that was typed; text that is none stays as it is."""
    try:
        return float(text)
    except ValueError:
        return text


def keep(folder: Path, name: str, frames: Tensor) -> None:
    """Save three consecutive frames at 100 % side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    middle = len(frames) // 2
    strip = torch.cat(list(frames[middle - 1 : middle + 2]), 2)
    save(strip, folder / f"{name}.png", overwrite=True)


if __name__ == "__main__":
    main()
