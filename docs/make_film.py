"""Makes docs/film.jpg: `python docs/make_film.py`.

The clip is a slow pan over scikit-image's photograph of a coffee cup (Rachel Michetti, CC0), with
a part of the photograph of a cat (Stefan van der Walt, CC0) that moves across it the other way;
the painting is made by `demo_painting` in this folder.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from demo_painting import paint
from make_gallery import photograph
from torch import Tensor

import impasto
from impasto.images.resize import resize
from impasto.images.write import save

DOCS = Path(__file__).parent
FRAMES, SHOWN = 24, (0, 7, 15, 23)
WIDTH, HEIGHT = 256, 160


def frame(number: int, background: Tensor, cat: Tensor) -> Tensor:
    """Return a frame of the clip, (3, HEIGHT, WIDTH)."""
    left = 4 * number
    pixels = background[:, 20 : 20 + HEIGHT, left : left + WIDTH].clone()
    down, across = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    center = 70 + 5 * number
    mask = (44 - torch.hypot(down - 84.0, across - float(center))).clamp(0, 1)  # of a disc
    moved = torch.roll(cat, (84 - 80, center - 128), (1, 2))
    return torch.lerp(pixels, moved, mask)


def main() -> None:
    """Paint the clip, and show some of its frames above those of the film."""
    background = resize(photograph("coffee.png"), (WIDTH + 4 * FRAMES, 235))
    cat = resize(photograph("chelsea.png"), (WIDTH, HEIGHT))
    frames = [frame(number, background, cat) for number in range(FRAMES)]
    with TemporaryDirectory() as folder:
        for number, pixels in enumerate(frames):
            (Path(folder) / "clip").mkdir(exist_ok=True)
            save(pixels, Path(folder) / "clip" / f"{number:04d}.png")
        output = Path(folder) / "film" / "%04d.png"
        impasto.film(Path(folder) / "clip", paint((480, 384), 7), output, size=WIDTH)
        painted = [impasto.open_image(str(output) % number).pixels for number in range(FRAMES)]
    strips = (torch.cat([each[number] for number in SHOWN], 2) for each in (frames, painted))
    save(torch.cat(list(strips), 1), DOCS / "film.jpg", quality=85, overwrite=True)


if __name__ == "__main__":
    main()
