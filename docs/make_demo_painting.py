"""Paints the demo's style image, a lake among hills in the evening, in oil.

    python docs/make_demo_painting.py                     # src/impasto/demo/painting.jpg, 640 x 512
    python docs/make_demo_painting.py --seed 2 -o lake.png   # another landscape at another hour

The painter itself is the package `demo_painting` in this folder; it needs scipy, which
scikit-image installs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_painting import paint

import impasto

OUTPUT = Path(__file__).parents[1] / "src" / "impasto" / "demo" / "painting.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 512), metavar=("W", "H"))
    options = parser.parse_args()
    pixels = paint(tuple(options.size), options.seed)
    print(impasto.save(pixels, options.output, quality=92, overwrite=True))


if __name__ == "__main__":
    main()
