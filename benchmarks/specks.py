"""What `denoise` does about specks and stuck lines, and what it leaves alone.

    python benchmarks/specks.py --data DIR [--clean DIR ...] [--effort balanced] [--sheet FILE]

Of the pictures in `--data`, which are clean, the middle 256 × 256 pixels get: salt and pepper of
1 %, with Gaussian noise of 10 of 255 and without; hot pixels, 0.1 %, of random heights, in 16-bit
counts with Poisson noise; a dead column beside noise. Each line has the mean PSNR of what is given
and of the result. Star fields of 200 stars (1.5 to 3.5 pixels at half height, peaks of 10 to 300
standard deviations) in 16-bit counts get hot pixels: for each star, the flux in the result over
that in the result of the same field without hot pixels, and over that of the same field with
`specks` off. Drawings made of disks, lines, letters and single dots are counted if anything of
them changes, the pictures in `--clean` if specks or stuck lines are told. Last line: JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from star_flux import star_places
from torch import Tensor

import impasto
from impasto.images.formats import ENDINGS
from impasto.recipes import DenoiseRecipe

PHOTONS = 400.0  # of white
PEAKS = (10, 15, 25, 50, 100, 300)  # of stars, in standard deviations of the sky
SKY, READ_NOISE = 200.0, 5.0  # in counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clean", type=Path, nargs="*", default=[])
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--sheet", type=Path, help="picture of some crops, given and result")
    arguments = parser.parse_args()
    figures: dict[str, object] = {}
    crops: list[Tensor] = []
    pictures = list(list_pictures(arguments.data))
    for name in ("salt and pepper, noise", "salt and pepper", "hot pixels, counts", "dead column"):
        rows = []
        for path in pictures:
            clean = middle(impasto.open_image(path).pixels, 256)
            generator = np.random.default_rng(zlib.crc32(path.stem.encode()))
            given, clean = damage(clean, name, generator)
            source = impasto.Image(given) if len(given) == 3 else counts(given)
            result = impasto.denoise(source, effort=arguments.effort)
            pixels = result.pixels if len(given) == 3 else result.pixels.view_as(given)
            rows.append((psnr(given, clean), psnr(pixels, clean)))
            crops += [t[:, :128, :128] / clean.max() for t in (given, pixels, clean)]
        before, after = np.mean(rows, 0)
        figures[name] = [round(float(before), 2), round(float(after), 2)]
        print(f"{name}: {before:.2f} -> {after:.2f} dB", flush=True)
    figures["stars"] = measure_stars(arguments.effort)
    print(f"stars: {figures['stars']}", flush=True)
    changed = [name for name, picture in drawings() if changes(picture)]
    print(f"drawings changed: {changed}", flush=True)
    figures["drawings"] = [len(changed), 240]
    clean = [path for folder in arguments.clean for path in list_pictures(folder)]
    changed = [path.name for path in clean if has_defects(impasto.open_image(path))]
    print(f"clean pictures with specks or lines: {changed}", flush=True)
    figures["clean"] = [len(changed), len(clean)]
    if arguments.sheet:
        draw_sheet(crops, arguments.sheet)
    print(json.dumps(figures))


def list_pictures(folder: Path) -> Iterator[Path]:
    """The pictures of a folder."""
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS)


def middle(pixels: Tensor, side: int) -> Tensor:
    """The middle of a picture (C, H, W)."""
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side].contiguous()


def damage(clean: Tensor, name: str, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A clean picture (3, H, W) with noise and defects, and its truth, likewise."""
    if name == "hot pixels, counts":
        clean = clean.mean(0, keepdim=True) * PHOTONS / 65535
        noisy = generator.poisson(clean.double().numpy() * 65535).astype("f8")
        hot = generator.random(noisy.shape) < 0.001
        noisy[hot] += generator.uniform(0.2, 2, int(hot.sum())) * PHOTONS
        return torch.from_numpy(noisy.round() / 65535).float(), clean
    sigma = 0 if name == "salt and pepper" else 10
    noisy = 255 * clean.double().numpy() + sigma * generator.standard_normal(clean.shape)
    noisy = noisy.round().clip(0, 255)
    chance = generator.random(noisy.shape[1:])
    if name == "dead column":
        noisy[:, :, 100] = 0
    else:
        noisy[:, chance < 0.005], noisy[:, chance > 0.995] = 0, 255
    return torch.from_numpy(noisy / 255).float(), clean


def counts(given: Tensor) -> np.ndarray:
    """A plane (1, H, W) as an array of 16-bit counts."""
    return (65535 * given[0]).round().numpy().astype(np.uint16)


def psnr(pixels: Tensor, clean: Tensor) -> float:
    """The PSNR, the largest value being the truth's."""
    error = float((pixels - clean).double().square().mean()) / float(clean.max()) ** 2
    return -10 * math.log10(max(error, 1e-12))


def measure_stars(effort: str) -> dict[str, object]:
    """Star fields with hot pixels: how far the fluxes are from those without, at most."""
    field, stars = star_field(np.random.default_rng(0))
    generator = np.random.default_rng(1)
    noisy = generator.poisson(field) + READ_NOISE * generator.standard_normal(field.shape)
    noisy = noisy.round().clip(0, 65535)
    hot = generator.random(noisy.shape) < 0.001
    with_hot = noisy.copy()
    with_hot[hot] += generator.uniform(200, 20000, int(hot.sum())).round()
    results = {}
    for name, plane, options in (
        ("plain", noisy, {}), ("off", noisy, {"specks": "off"}), ("hot", with_hot, {}),
    ):  # fmt: skip
        if "specks" not in DenoiseRecipe.model_fields:  # of an earlier version
            options = {}
        result = impasto.denoise(plane.astype(np.uint16), effort=effort, **options)
        results[name] = 65535 * result.pixels.squeeze().double().numpy()
    fluxes = {name: [flux(plane, star) for star in stars] for name, plane in results.items()}
    plain, off, ratios = (np.array(fluxes[name]) for name in ("plain", "off", "hot"))
    near = [bool(hot[inside(hot.shape, star, 2)].any()) for star in stars]
    off, ratios = np.abs(plain / off - 1), np.abs(ratios / plain - 1)
    return {
        "stars": len(stars),
        "largest change of flux without hot pixels": round(float(off.max()), 4),
        "stars with a hot pixel inside": sum(near),
        "stars that change by more than 2 % with hot pixels": int((ratios > 0.02).sum()),
        "of those without a hot pixel inside": int(((ratios > 0.02) & ~np.array(near)).sum()),
        "median change": round(float(np.median(ratios)), 5),
        "largest change": round(float(ratios.max()), 4),
    }


def star_field(
    generator: np.random.Generator, size: int = 512, count: int = 200
) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """A sky in counts and its stars: row, column, width at half height."""
    rows, columns = np.mgrid[:size, :size]
    field = SKY * (1 + 0.1 * rows / size)
    stars = []
    for number, (row, column) in enumerate(star_places(size, count, generator)):
        width = generator.uniform(1.5, 3.5)
        peak = PEAKS[number % len(PEAKS)] * math.hypot(math.sqrt(SKY), READ_NOISE)
        distance = (rows - row) ** 2 + (columns - column) ** 2
        field = field + peak * np.exp(-distance * 4 * math.log(2) / width**2)
        stars.append((row, column, width))
    return field, stars


def inside(shape: tuple[int, ...], star: tuple[float, float, float], widths: float) -> np.ndarray:
    """Which pixels are within so many widths of a star."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - star[0], columns - star[1]) <= widths * star[2]


def flux(plane: np.ndarray, star: tuple[float, float, float]) -> float:
    """The flux of a star within twice its width, less that of the sky around it."""
    core = inside(plane.shape, star, 2)
    ring = inside(plane.shape, star, 3.2) & ~core
    return float(plane[core].sum() - core.sum() * np.median(plane[ring]))


def drawings() -> Iterator[tuple[str, impasto.Image]]:
    """240 flat drawings of 64 to 200 pixels."""
    for side in (64, 96, 128, 200):
        for number in range(60):
            generator = np.random.default_rng(1000 * side + number)
            pixels = draw_disks(side, generator) if number < 30 else draw_lines(side, generator)
            array = np.asarray(pixels)[..., :1] if number % 2 and number < 30 else pixels
            tensor = torch.from_numpy(np.array(array)).permute(2, 0, 1).float() / 255
            yield f"{side}-{number}", impasto.Image(tensor.contiguous())


def draw_disks(side: int, generator: np.random.Generator) -> Image.Image:
    """Disks of any color, with hard edges."""
    picture = Image.new("RGB", (side, side), (128, 128, 128))
    for _ in range(25):
        x, y, radius = generator.random(3) * side
        radius = 0.15 * radius + 0.02 * side
        color = tuple(generator.integers(0, 256, 3).tolist())
        box = (x - radius, y - radius, x + radius, y + radius)
        ImageDraw.Draw(picture).ellipse(box, fill=color)
    return picture


def draw_lines(side: int, generator: np.random.Generator) -> Image.Image:
    """Lines, frames, letters and single dots; every other drawing has smooth edges."""
    zoom = int(generator.choice([1, 4]))
    plain = bool(generator.random() < 0.4)
    ground = (255, 255, 255) if plain else tuple(generator.integers(0, 256, 3).tolist())
    picture = Image.new("RGB", (side * zoom, side * zoom), ground)
    pen = ImageDraw.Draw(picture)
    for _ in range(20):
        color = (0, 0, 0) if plain else tuple(generator.integers(0, 256, 3).tolist())
        x, y, x2, y2 = (zoom * generator.integers(0, side, 4)).tolist()
        width = zoom * int(generator.integers(1, 3))
        match int(generator.integers(0, 4)):
            case 0:
                pen.line((x, y, x2, y2), fill=color, width=width)
            case 1:
                box = (min(x, x2), min(y, y2), max(x, x2), max(y, y2))
                pen.rectangle(box, outline=color, width=width)
            case 2:
                font = ImageFont.load_default(size=zoom * int(generator.integers(8, 14)))
                pen.text((x, y), "Hi i.j:; 12.5"[: int(generator.integers(2, 13))], color, font)
            case _:
                pen.rectangle((x, y, x + zoom - 1, y + zoom - 1), fill=color)
    return picture.resize((side, side), Image.Resampling.BOX)


def changes(picture: impasto.Image) -> bool:
    """Whether `denoise` changes anything of a picture."""
    result = impasto.denoise(picture, effort="quick")
    return not torch.equal(result.pixels, picture.pixels)


def has_defects(picture: impasto.Image) -> bool:
    """Whether specks or stuck lines are told in a picture."""
    diagnosis = impasto.diagnose(picture)
    return bool(diagnosis.specks or diagnosis.stuck_rows or diagnosis.stuck_columns)


def draw_sheet(crops: list[Tensor], path: Path) -> None:
    """Given, result and truth of each picture in a row."""
    images = [t.expand(3, -1, -1).clamp(0, 1) for t in crops]
    rows = [torch.cat(images[start : start + 12], 2) for start in range(0, len(images) - 11, 12)]
    array = (255 * torch.cat(rows, 1)).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)


if __name__ == "__main__":
    main()
