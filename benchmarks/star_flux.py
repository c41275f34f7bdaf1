"""The flux of stars in a denoised picture, over the true one, by brightness.

    python benchmarks/star_flux.py [--fields 2] [--size 512] [--stars 200]

Stars are Gaussians of 2 to 3.5 pixels at half height, which stand apart, on a dark sky with a
slight shade. Their peaks are 1 to 50 standard deviations of the noise, as many of each. The noise
is Gaussian in pictures of 8 bits, and Poisson and Gaussian in 16-bit counts. Flux is summed within
twice the width at half height, less the mean of a ring around. Each line has the fluxes of one
brightness, summed and divided by the true ones, and the root mean square of the stars' relative
errors. Last line: JSON; for each noise `psnr` (1 being the brightest star), and for each brightness
the ratio and the error, `denoised` and `noisy`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator

import numpy as np
from PIL import Image

import impasto

PEAKS = (1, 1.5, 2, 3, 4, 6, 12, 25, 50)  # of the noise's standard deviation in the sky
SIGMA, SKY = 4.0, 20.0  # of 255
READ_NOISE, PHOTONS = 5.0, 200.0  # of 16 bits: in counts, and the sky's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=2)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--stars", type=int, default=200)
    arguments = parser.parse_args()
    figures = {}
    for noise in ("gaussian", "counts"):
        fluxes: dict[float, list[list[float]]] = {peak: [] for peak in PEAKS}
        errors, begin = [], time.monotonic()
        for seed in range(arguments.fields):
            generator = np.random.default_rng(seed)
            clean, stars = star_field(arguments.size, arguments.stars, noise, generator)
            noisy = add_noise(clean, noise, generator)
            denoised = denoise(noisy, noise)
            errors.append(np.square((denoised - clean) / clean.max()).mean())
            for star in stars:
                triple = [flux(plane, star) for plane in (clean, denoised, noisy)]
                fluxes[star[0]].append(triple)
        figures[noise] = {"psnr": round(-10 * math.log10(np.mean(errors)), 2)}
        print(f"{noise}: PSNR {figures[noise]['psnr']} dB, {time.monotonic() - begin:.0f} s")
        for peak, rows in fluxes.items():
            true, denoised, noisy = np.array(rows).T
            line = {}
            for name, values in (("denoised", denoised), ("noisy", noisy)):
                error = np.sqrt(np.mean((values / true - 1) ** 2))
                line[name] = [round(float(values.sum() / true.sum()), 3), round(float(error), 3)]
            print(f"  {peak:4g} sigma, {len(rows)} stars: {line}")
            figures[noise][f"{peak:g}"] = line
    print(json.dumps(figures))


def star_places(
    size: int, count: int, generator: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Yield the row and column of each star, about evenly spread."""
    side = math.ceil(math.sqrt(count))
    cell = (size - 16) / side
    for place in generator.permutation(side * side)[:count]:
        row, column = (
            8 + (index + 0.5 + generator.uniform(-0.2, 0.2)) * cell
            for index in divmod(int(place), side)
        )
        yield row, column


def star_field(
    size: int, count: int, noise: str, generator: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, float, float, float]]]:
    """Return the sky and its stars: peak in standard deviations, row, column, width."""
    rows, columns = np.mgrid[:size, :size]
    sky, sigma = (SKY, SIGMA) if noise == "gaussian" else (PHOTONS, math.hypot(14.1, READ_NOISE))
    clean = sky * (1 + 0.1 * rows / size + 0.2 * columns / size)
    stars = []
    for number, (row, column) in enumerate(star_places(size, count, generator)):
        peak, width = PEAKS[number % len(PEAKS)], generator.uniform(2, 3.5)
        scale = width / math.sqrt(8 * math.log(2))
        distance = (rows - row) ** 2 + (columns - column) ** 2
        clean = clean + peak * sigma * np.exp(-distance / (2 * scale**2))
        stars.append((peak, row, column, width))
    return clean, stars


def add_noise(clean: np.ndarray, noise: str, generator: np.random.Generator) -> np.ndarray:
    """Return whole numbers, of 8 or 16 bits."""
    if noise == "gaussian":
        noisy = clean + SIGMA * generator.standard_normal(clean.shape)
        return noisy.round().clip(0, 255).astype(np.uint8)
    noisy = generator.poisson(clean) + READ_NOISE * generator.standard_normal(clean.shape)
    return noisy.round().clip(0, 65535).astype(np.uint16)


def denoise(noisy: np.ndarray, noise: str) -> np.ndarray:
    """Denoise a picture of 8 bits or an array of counts; return its own numbers."""
    source = Image.fromarray(noisy) if noise == "gaussian" else noisy
    pixels = impasto.denoise(source, method="nl-wiener").pixels.squeeze().numpy()
    if pixels.ndim == 3:
        pixels = pixels.mean(0)
    return pixels.astype(np.float64) * np.iinfo(noisy.dtype).max


def flux(plane: np.ndarray, star: tuple[float, float, float, float]) -> float:
    """Return the flux of a star, less that of the sky around it."""
    _, row, column, width = star
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    distance = np.hypot(rows - row, columns - column)
    inside, ring = distance <= 2 * width, (distance > 2 * width) & (distance <= 3.2 * width)
    return float(plane[inside].sum() - inside.sum() * plane[ring].mean())


if __name__ == "__main__":
    main()
