"""PSNR, SSIM, texture and seconds of `denoise` over a folder of pictures, and those of its peers.

    python benchmarks/denoise_quality.py --data DIR [--noise gaussian:25|poisson:50] [--crop 256]
    python benchmarks/denoise_quality.py --data DIR --noise none [--gt DIR | --gt-suffix _mean]
        [--method auto] [--effort balanced] [--sigma auto|known|LEVEL] [--device auto]
        [--detail 0] [--pictures N | --pictures every K] [--threads N] [--baselines]

Clean pictures get noise, seeded by their names: Gaussian of a level of 255, clamped to [0, 1], or
Poisson of so many photons, not clamped. It is cleaned as a float32 tensor. Pictures that are noisy
by themselves (`--noise none`) are paired with their truths by file names: the same in the folder
`--gt`, or `x_real` and `x_mean` in one folder. They are cleaned as pictures, uncropped (`--crop 0`)
as the files themselves. Everything is clamped to [0, 1] before it is measured, the noisy picture
too.

`texture_kept` is the share of the truth's finest detail that is in the result: the slope of the
result's high-pass over the truth's, each a picture less the mean of 3 × 3 pixels. Noise that was
left does not count.

`--baselines` adds those of the peers that are installed: BM3D (package bm3d, free for
non-commercial use only), BMND (package bmnd, MIT license; BM3D that takes counts of photons as they
are), and scikit-image's non-local means. They get the true noise: sigma itself, Poisson noise
leveled by Anscombe's transform but for BMND, and of real noise its deviation from the truth. Prints
a row per picture; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import impasto
from impasto.images.formats import ENDINGS


@dataclass(frozen=True)
class Sample:
    """A noisy picture and its truth.

    Attributes:
        name: of the file.
        given: what `denoise` gets.
        noisy: the same as (C, H, W).
        clean: the truth, (C, H, W) in [0, 1].
    """

    name: str
    given: Any
    noisy: Tensor
    clean: Tensor


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    kind, level = noise_of(arguments.noise)
    rows = []
    print(
        f"{'picture':40s}{'noisy':>7s}{'PSNR':>7s}{'SSIM':>8s}{'texture':>9s}{'seconds':>9s}  kind",
        flush=True,
    )
    for sample in samples(arguments, kind, level):
        sigma = {"auto": "auto", "known": level / 255}.get(arguments.sigma)
        options = {"method": arguments.method, "effort": arguments.effort}
        options["sigma"] = float(arguments.sigma) / 255 if sigma is None else sigma
        options["device"] = arguments.device
        options["detail"] = arguments.detail
        row = denoise_sample(sample, options)
        if arguments.baselines:
            row |= baselines(sample, kind, level)
        rows.append(row)
        print(
            f"{row['name']:40s}{row['noisy_psnr']:7.2f}{row['psnr']:7.2f}{row['ssim']:8.4f}"
            f"{row['texture_kept']:9.3f}{row['seconds']:9.2f}  {row['kind']}" + row_text(row),
            flush=True,
        )
    if not rows:
        raise SystemExit(f"no pictures to clean in {arguments.data}")
    print(json.dumps(summarize(rows, arguments), allow_nan=False))


def parse_arguments() -> argparse.Namespace:
    """The arguments, refused where they do not go together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--gt", type=Path, help="folder of truths, of the same file names")
    parser.add_argument("--gt-suffix", default="_mean", help="ends a truth's name in one folder")
    parser.add_argument("--crop", type=int, default=256, help="middle square; 0 for all of it")
    parser.add_argument("--noise", default="gaussian:25", help="gaussian:25, poisson:50 or none")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--sigma", default="auto", help="auto, known, or a level of 255")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--detail", type=float, default=0.0)
    parser.add_argument("--pictures", nargs="+", default=[], help="the first N, or `every K`")
    parser.add_argument("--threads", type=int, default=0, help="of torch")
    parser.add_argument("--baselines", action="store_true")
    arguments = parser.parse_args()
    kind, _ = noise_of(arguments.noise)
    if arguments.sigma == "known" and kind != "gaussian":
        parser.error("--sigma known needs --noise gaussian")
    if arguments.gt and kind != "none":
        parser.error("--gt needs --noise none")
    return arguments


def noise_of(word: str) -> tuple[str, float]:
    """A kind of noise and its level, from `gaussian:25`, `poisson:50` or `none`."""
    kind, _, level = word.partition(":")
    if kind == "none":
        return kind, 0.0
    if kind not in ("gaussian", "poisson") or not re.fullmatch(r"\d+(\.\d+)?", level):
        raise SystemExit(f"`--noise` must be gaussian:25, poisson:50 or none, got {word!r}")
    return kind, float(level)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, numbers in their names counted as numbers."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS]
    return sorted(
        paths, key=lambda path: [int(s) if s.isdigit() else s for s in split_digits(path)]
    )


def split_digits(path: Path) -> list[str]:
    """A name in turns of other signs and digits."""
    return re.split(r"(\d+)", path.name)


def select(items: list, words: list[str]) -> list:
    """The first N of a list, or every K-th."""
    if not words:
        return items
    return items[:: int(words[1])] if words[0] == "every" else items[: int(words[0])]


def samples(arguments: argparse.Namespace, kind: str, level: float) -> Iterator[Sample]:
    """The noisy pictures with their truths."""
    if kind != "none":
        for path in select(list_pictures(arguments.data), arguments.pictures):
            clean = crop(impasto.open_image(path).pixels, arguments.crop)
            noisy = add_noise(clean, kind, level, path.stem)
            yield Sample(path.name, noisy, noisy, clean)
        return
    for path, truth in select(paired_files(arguments), arguments.pictures):
        noisy, clean = (crop(impasto.open_image(p).pixels, arguments.crop) for p in (path, truth))
        yield Sample(path.name, impasto.Image(noisy) if arguments.crop else path, noisy, clean)


def paired_files(arguments: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Files of noisy pictures with the files of their truths."""
    if arguments.gt:
        truths = {path.stem: path for path in list_pictures(arguments.gt)}
        paths = list_pictures(arguments.data)
        return [(path, truths[path.stem]) for path in paths if path.stem in truths]
    ending, paths = arguments.gt_suffix, list_pictures(arguments.data)
    truths = {path.stem.removesuffix(ending): path for path in paths if path.stem.endswith(ending)}
    others = [path for path in paths if path not in truths.values()]
    named = [(path, path.stem.rpartition("_")[0]) for path in others]
    return [(path, truths[name]) for path, name in named if name in truths]


def crop(pixels: Tensor, side: int) -> Tensor:
    """The middle of a picture (C, H, W), so many pixels a side where it has them; 0 for all."""
    height, width = pixels.shape[1:]
    tall, wide = (min(side, height), min(side, width)) if side else (height, width)
    top, left = (height - tall) // 2, (width - wide) // 2
    return pixels[:, top : top + tall, left : left + wide].contiguous()


def add_noise(clean: Tensor, kind: str, level: float, name: str) -> Tensor:
    """A picture (C, H, W) with noise that its name seeds."""
    strength = {kind: level / 255 if kind == "gaussian" else level}
    return impasto.add_noise(clean, **strength, seed=zlib.crc32(name.encode()))


def denoise_sample(sample: Sample, options: dict[str, Any]) -> dict[str, Any]:
    """Denoise a sample; return the measures of the result and the seconds."""
    diagnosis = impasto.diagnose(sample.given, **options)
    begin = time.perf_counter()
    result = impasto.denoise(sample.given, **options)
    seconds = time.perf_counter() - begin
    clean, noisy, pixels = sample.clean, sample.noisy.clamp(0, 1), result.pixels.clamp(0, 1)
    return {
        "name": sample.name,
        "noisy_psnr": impasto.psnr(clean, noisy),
        "noisy_ssim": impasto.ssim(clean, noisy),
        "psnr": impasto.psnr(clean, pixels),
        "ssim": impasto.ssim(clean, pixels),
        "texture_kept": texture_kept(clean, pixels),
        "seconds": seconds,
        "kind": diagnosis.kind,
    }


def texture_kept(clean: Tensor, pixels: Tensor) -> float:
    """The slope of a result's high-pass over that of its truth, both (C, H, W); 1 keeps all."""
    truth, result = (high_pass(image.double()) for image in (clean, pixels))
    energy = truth.square().sum().item()
    return (truth * result).sum().item() / energy if energy else 1.0


def high_pass(image: Tensor) -> Tensor:
    """A picture (C, H, W) less the mean of the 3 × 3 pixels around each."""
    return image - F.avg_pool2d(F.pad(image[None], (1,) * 4, mode="replicate"), 3, 1)[0]


def baselines(sample: Sample, kind: str, level: float) -> dict[str, float | None]:
    """Denoise a sample with the peers that are installed, which get the true noise."""
    row: dict[str, float | None] = {}
    for name, (package, peer) in PEERS.items():
        keys = [f"{name}_{measure}" for measure in ("psnr", "texture_kept", "seconds")]
        row |= dict.fromkeys(keys)
        if find_spec(package) is None:
            print(f"{name}: {package} is not installed", file=sys.stderr)
            continue
        image = sample.noisy.permute(1, 2, 0).double().numpy()  # (C, H, W) -> (H, W, C)
        deviation = (sample.noisy - sample.clean).square().mean().sqrt().item()
        sigma = level / 255 if kind == "gaussian" else deviation
        begin = time.perf_counter()
        if kind != "poisson":
            result = peer(image, sigma)
        elif name in COUNTING:
            result = peer(image, sigma, level)
        else:
            result = denoise_poisson(peer, image, level)
        seconds = time.perf_counter() - begin
        pixels = torch.from_numpy(result.transpose(2, 0, 1)).clamp(0, 1)
        measures = (
            impasto.psnr(sample.clean, pixels),
            texture_kept(sample.clean, pixels),
            seconds,
        )
        row |= dict(zip(keys, measures, strict=True))
    return row


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """BM3D of (H, W, C), of colors CBM3D."""
    from bm3d import bm3d, bm3d_rgb

    return (
        bm3d_rgb(image, sigma) if image.shape[2] == 3 else bm3d(image, sigma).reshape(image.shape)
    )


def nlmeans(image: np.ndarray, sigma: float) -> np.ndarray:
    """Non-local means of (H, W, C), with the numbers of scikit-image's own example."""
    from skimage.restoration import denoise_nl_means

    colors = image.shape[2] > 1
    result = denoise_nl_means(
        image if colors else image[..., 0],
        patch_size=5,
        patch_distance=6,
        h=0.8 * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=2 if colors else None,
    )
    return result.reshape(image.shape)


def bmnd(image: np.ndarray, sigma: float, photons: float | None = None) -> np.ndarray:
    """BMND of (H, W, C) as its authors set it: Gaussian noise, or so many photons at white.

    It knows no color: each channel by itself, or light and two differences of Gaussian noise.
    """
    from bmnd import BM3DProfile, NoiseModel, bmnd

    if photons is not None:
        profile = BM3DProfile(noise_model=NoiseModel.POISSON)
        counts = np.moveaxis(np.maximum(image * photons, 0), 2, 0)
        clean = [bmnd(plane.astype(np.float32), profile) for plane in counts]
        return np.stack(clean, 2).astype(np.float64) / photons
    basis = np.eye(1) if image.shape[2] != 3 else OPPONENT
    planes = np.einsum("ij,hwj->ihw", basis, image).astype(np.float32)
    clean = [bmnd(plane, BM3DProfile(), sigma=sigma) for plane in planes]
    return np.einsum("ji,jhw->hwi", basis, np.stack(clean).astype(np.float64))


# Light and two differences of the colors, orthonormal: white noise stays as it is.
OPPONENT = np.array([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)

PEERS = {"bm3d": ("bm3d", bm3d), "bmnd": ("bmnd", bmnd), "nlmeans": ("skimage", nlmeans)}
COUNTING = ("bmnd",)  # those that take counts of photons as they are


def denoise_poisson(peer: Callable, image: np.ndarray, photons: float) -> np.ndarray:
    """Remove Poisson noise with a peer for Gaussian noise, through Anscombe's transform.

    Back by the closed form of the exact unbiased inverse: Mäkitalo, Foi 2011, A closed-form
    approximation of the exact unbiased inverse of the Anscombe variance-stabilizing transformation.
    """
    level = 2 * np.sqrt(np.maximum(image * photons, 0) + 3 / 8)  # deviation 1
    low, span = level.min(), np.ptp(level) or 1.0
    d = np.maximum(peer((level - low) / span, 1 / span) * span + low, 2 * math.sqrt(3 / 8))
    root = math.sqrt(3 / 2)
    counts = d**2 / 4 + root / 4 / d - 11 / 8 / d**2 + 5 / 8 * root / d**3 - 1 / 8
    return np.maximum(counts, 0) / photons


def row_text(row: dict[str, Any]) -> str:
    """The peers' part of a row."""
    values = ((name, row.get(f"{name}_psnr")) for name in PEERS)
    return "".join(f"  {name} {value:.2f}" for name, value in values if value is not None)


def summarize(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    """Means over the pictures, and the least that one of them gained."""
    # Of a picture that was clean and stays as it is, both are infinite.
    gains = [0.0 if r["psnr"] == r["noisy_psnr"] else r["psnr"] - r["noisy_psnr"] for r in rows]
    kinds = [row["kind"] for row in rows]
    report: dict[str, Any] = {
        "psnr": mean(rows, "psnr", 3),
        "ssim": mean(rows, "ssim", 4),
        "texture_kept": mean(rows, "texture_kept", 4),
        "noisy_psnr": mean(rows, "noisy_psnr", 3),
        "noisy_ssim": mean(rows, "noisy_ssim", 4),
        "gain": round_or_none(sum(gains) / len(gains), 3),
        "worst_gain": round_or_none(min(gains), 3),
        "seconds_per_picture": mean(rows, "seconds", 3),
        "pictures": len(rows),
        "method": arguments.method,
        "effort": arguments.effort,
        "noise": arguments.noise,
        "sigma": arguments.sigma,
        "detail": arguments.detail,
        "crop": arguments.crop,
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "threads": torch.get_num_threads(),
    }
    for name in PEERS if arguments.baselines else ():
        for key in (f"{name}_psnr", f"{name}_texture_kept", f"{name}_seconds"):
            report[key] = None if rows[0][key] is None else mean(rows, key, 3)
    return report


def mean(rows: list[dict[str, Any]], key: str, digits: int) -> float | None:
    """Of a number of the rows."""
    return round_or_none(sum(row[key] for row in rows) / len(rows), digits)


def round_or_none(value: float, digits: int) -> float | None:
    """A number as JSON has it: none that is infinite, as the PSNR of equal pictures is."""
    return round(value, digits) if math.isfinite(value) else None


if __name__ == "__main__":
    main()
