"""How near paintings come to style and content, and how they look: each effort on many pairs.

    python benchmarks/style_quality.py --contents DIR --styles DIR [--pairs 12] [--size 512]
        [--against default-2026-11] [-o sheet.png]

The pairs run through the contents and styles in turn. Of each painting, in float32 at full size by
all layers of the default: the Wasserstein and Gram distances to the style, the content distance
(each relative, their weights left out), and noise: the energy of the highest octave, relative to
that of the style image at its size; above 1 it has grain that the style has not. Prints a row per
painting; writes a contact sheet, a row per pair: earlier default, quick, balanced, best. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from contact_sheet import fit_into_frame
from style_speed import EFFORTS, PREVIOUS
from torch import Tensor

import impasto
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb, resize
from impasto.recipes import StyleRecipe
from impasto.style.styles import equal_area_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--against", choices=list(PREVIOUS))
    parser.add_argument("--efforts", nargs="+", choices=EFFORTS, default=list(EFFORTS))
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    arguments = parser.parse_args()
    contents = sorted(path for path in arguments.contents.iterdir() if path.is_file())
    styles = sorted(path for path in arguments.styles.iterdir() if path.is_file())
    # Each round pairs every content with another style.
    pairs = [
        (content, styles[(number + turn) % len(styles)])
        for turn in range(len(styles))
        for number, content in enumerate(contents)
    ][: arguments.pairs]
    kinds = {effort: {"effort": effort} for effort in arguments.efforts}
    if arguments.against:
        kinds = {"previous": PREVIOUS[arguments.against], **kinds}
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    sheet = []
    for content, style in pairs:
        cells = []
        for kind, options in kinds.items():
            result = impasto.stylize(content, style, size=arguments.size, **options)
            row = {"seconds": round(result.seconds, 1), **measure(content, style, result.pixels)}
            rows[kind].append(row)
            cells.append(fit_into_frame(result.pixels, arguments.size))
            words = "  ".join(f"{name} {value:.4f}" for name, value in row.items())
            print(f"{content.stem:18s} {style.stem:14s} {kind:9s} {words}", flush=True)
        sheet.append(torch.cat(cells, dim=2))
        impasto.save(torch.cat(sheet, dim=1), arguments.output, overwrite=True)
    means = {
        kind: {name: round(sum(row[name] for row in all_) / len(all_), 4) for name in all_[0]}
        for kind, all_ in rows.items()
    }
    print(json.dumps({"size": arguments.size, "pairs": len(pairs), **means}))


def measure(content: Path, style: Path, pixels: Tensor) -> dict[str, float]:
    """Return the distances of a painting, (3, H, W), from its style and content, and its noise."""
    recipe = StyleRecipe()
    losses = {}
    for name in ("wasserstein", "gram"):
        losses[name] = impasto.stylize(
            content,
            style,
            init_image=pixels,
            size=max(pixels.shape[1:]),
            precision="float32",
            style_loss=name,
            warmup=0.0,
            scales=1,
            steps=1,
        ).losses
    size = (pixels.shape[2], pixels.shape[1])
    painting = open_image(style)
    reference = resize(composite_rgb(painting), equal_area_size(painting.size, size))
    return {
        "loss": losses["wasserstein"]["total"],
        "wasserstein": losses["wasserstein"]["style"] / recipe.style_weight,
        "gram": losses["gram"]["style"] / recipe.style_weight,
        "content": losses["wasserstein"]["content"] / recipe.content_weight,
        "noise": highest_octave(pixels) / highest_octave(reference),
    }


def highest_octave(pixels: Tensor) -> float:
    """Return the energy of what a picture, (3, H, W), loses at half its size."""
    size = (pixels.shape[2], pixels.shape[1])
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    return (pixels - resize(resize(pixels, half), size)).square().mean().item()


if __name__ == "__main__":
    main()
