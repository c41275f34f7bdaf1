"""Makes src/impasto/thumbnails/NAME.jpg, a small painting by each preset: `python
docs/make_thumbnails.py [NAME …]`.

Of the demo's photograph and the demo's painting, which may be passed on with impasto.
"""

from __future__ import annotations

import sys

from demo_painting import paint

import impasto
from impasto.demo import photograph
from impasto.images.resize import fit_longest_side, resize
from impasto.presets import PRESETS, THUMBNAILS

SIZE, STEPS, SHOWN = 256, 100, 160  # painted at, evaluations, pixels on the thumbnail's longer side


def main() -> None:
    content, style = photograph(), paint((480, 384), 7)
    THUMBNAILS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PRESETS:
        result = impasto.stylize(content, style, preset=name, size=SIZE, steps=STEPS)
        small = resize(result.pixels, fit_longest_side(result.size, SHOWN)).clamp(0, 1)
        place = THUMBNAILS / f"{name}.jpg"
        print(impasto.save(small, place, quality=60, overwrite=True))


if __name__ == "__main__":
    main()
