"""Makes docs/gallery.md and its pictures: `python docs/make_gallery.py [NAME …]`.

The photographs are those that scikit-image installs (a cat, a cup, an astronaut; CC0 or public
domain); the paintings are made by `demo_painting` in this folder. NAME limits it to these sections.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path

import torch
from demo_painting import paint
from torch import Tensor

import impasto
from impasto import Style
from impasto.figures import contact_sheet, save_figure
from impasto.images.resize import fit_longest_side, resize
from impasto.presets import PRESETS

DOCS = Path(__file__).parent
SIZE, STEPS = 256, 80  # of every painting: pixels on the longer side, evaluations
NAMES = ("chelsea.png", "coffee.png", "astronaut.png")
Cells = Iterable[tuple[str, Tensor]]


def photograph(name: str) -> Tensor:
    """Return a photograph at the gallery's size, (3, H, W)."""
    pixels = impasto.open_image(str(files("skimage").joinpath("data", name))).pixels
    return resize(pixels, fit_longest_side((pixels.shape[2], pixels.shape[1]), SIZE))


CONTENTS = [photograph(name) for name in NAMES]
PAINTINGS = [paint((480, 384), seed) for seed in (7, 2, 11)]
CAT, CUP, ASTRONAUT = CONTENTS
EVENING, OTHER, THIRD = PAINTINGS


def stylize(content: Tensor, style: object, **options: object) -> Tensor:
    """Return the pixels of one painting."""
    result = impasto.stylize(content, style, **{"size": SIZE, "steps": STEPS, **options})
    print(".", end="", flush=True, file=sys.stderr)
    return result.pixels


def vary(name: str, values: Iterable[object], label: str = "") -> Callable[[], Cells]:
    """Return a row that varies one option, for each of three pairs."""

    def cells() -> Cells:
        for content, style in zip(CONTENTS, PAINTINGS, strict=True):
            for value in values:
                yield f"{label or name} {value}", stylize(content, style, **{name: value})

    return cells


def sources() -> Cells:
    """The photographs and the paintings."""
    yield from zip(("cat", "cup", "astronaut"), CONTENTS, strict=True)
    yield from zip(("seed 7", "seed 2", "seed 11"), PAINTINGS, strict=True)


def presets() -> Cells:
    """Every preset but the two that repeat a paper and a notebook."""
    names = [name for name in PRESETS if name not in ("notebook", "gatys")]
    for content, style in zip(CONTENTS, PAINTINGS, strict=True):
        for name in names:
            yield name, stylize(content, style, preset=name)


def colors() -> Cells:
    """The dial from the content's colors to the style's, by both ways."""
    for content, style in zip(CONTENTS, PAINTINGS, strict=True):
        for by in ("luminance", "statistics"):
            for dial in (0.0, 0.5, 1.0):
                words = f"color {dial:g} by {by}"
                yield words, stylize(content, style, color=dial, color_by=by)


def styles() -> Cells:
    """Two styles by weight."""
    for content in CONTENTS:
        for weight in (0.0, 0.25, 0.5, 0.75, 1.0):
            both = [Style(EVENING, weight), Style(THIRD, 1 - weight)]
            yield f"A:{weight:g} B:{1 - weight:g}", stylize(content, both)


def regions() -> Cells:
    """Two styles, each in its region; a protected middle; a mask of what stays recognizable."""
    for content in CONTENTS:
        high, wide = content.shape[1:]
        across = torch.linspace(-1, 1, wide).expand(high, -1)
        down = torch.linspace(-1, 1, high)[:, None].expand(-1, wide)
        soft = (0.5 + 2 * across).clamp(0, 1)
        middle = (1.6 - 2 * torch.hypot(across, down)).clamp(0, 1)
        both = [Style(EVENING, region=soft), Style(THIRD)]
        yield "a region each", stylize(content, both)
        yield "the middle protected", stylize(content, EVENING, protect=middle)
        yield "the middle kept", stylize(content, EVENING, keep=middle, strength=0.75)
        yield "none of it", stylize(content, EVENING, strength=0.75)


def textures() -> Cells:
    """Textures, plain and tileable, the latter laid side by side."""
    for style in PAINTINGS:
        options = {"width": 192, "height": 192, "steps": STEPS}
        yield "texture", impasto.texture(style, **options).pixels
        tile = impasto.texture(style, **options, tileable=True).pixels
        yield "tileable, twice each way", tile.repeat(1, 2, 2)


# Name: what it shows, the command, columns, cells.
SECTIONS: dict[str, tuple[str, str, int, Callable[[], Cells]]] = {
    "sources": (
        "The photographs and paintings that everything below is made from.",
        "",
        6,
        sources,
    ),
    "strength": (
        "From the photograph (0) to the painting (1).",
        "impasto style photo.png painting.png --strength 0.75",
        3,
        vary("strength", (0.25, 0.5, 0.75)),
    ),
    "presets": (
        "Nine ways to paint.",
        "impasto style photo.png painting.png --preset own-colors",
        len(PRESETS) - 2,
        presets,
    ),
    "color": (
        "From the photograph's colors (0) to the painting's (1), in two ways.",
        "impasto style photo.png painting.png --color 0 --color-by statistics",
        6,
        colors,
    ),
    "brush": (
        "Size of the strokes.",
        "impasto style photo.png painting.png --style-scale 1",
        4,
        vary("style_scale", (0.3, 0.6, 1.0, 1.6), "style-scale"),
    ),
    "structure": (
        "How much the photograph's edges are kept, at a strength of 0.5.",
        "impasto style photo.png painting.png --structure 1",
        3,
        vary("structure", (0.0, 0.5, 1.0)),
    ),
    "styles": (
        "Two styles with weights.",
        "impasto style photo.png a.png:0.25 b.png:0.75",
        5,
        styles,
    ),
    "regions": (
        "Two styles in two regions, a protected part, a part that stays recognizable.",
        "impasto style photo.png a.png b.png --region right.png --protect middle.png",
        4,
        regions,
    ),
    "start": (
        "What the run starts from.",
        "impasto style photo.png painting.png --init content",
        3,
        vary("init", ("content", "recolored", "noise")),
    ),
    "textures": (
        "Textures from a painting alone.",
        "impasto texture painting.png --tileable",
        2,
        textures,
    ),
}


def main() -> None:
    """Make the sections that are named, or all, and the page."""
    (DOCS / "gallery").mkdir(exist_ok=True)
    for name in sys.argv[1:] or SECTIONS:
        _, _, columns, cells = SECTIONS[name]
        titles, pictures = zip(*cells(), strict=True)
        sheet = contact_sheet(titles, pictures, columns)
        print(save_figure(sheet, DOCS / "gallery" / f"{name}.jpg", overwrite=True))
    page = [
        "# Gallery",
        "",
        f"Every painting has {SIZE} pixels on its longer side and took {STEPS} evaluations. The "
        "photographs are scikit-image's: a cat by Stefan van der Walt (CC0), a cup by Rachel "
        "Michetti (CC0), an astronaut by NASA (public domain). The paintings are impasto's own. "
        "Made by `python docs/make_gallery.py`.",
    ]
    for name, (words, command, _, _) in SECTIONS.items():
        if not (DOCS / "gallery" / f"{name}.jpg").exists():
            continue
        page += ["", f"## {name.capitalize()}", "", words]
        page += ["", f"    {command}"] if command else []
        page += ["", f"![{words}](gallery/{name}.jpg)"]
    (DOCS / "gallery.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
