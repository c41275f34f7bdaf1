"""Paint style pictures of your own: `python examples/paint_styles.py 1 2 3`."""

import sys

import impasto
from impasto.demo.painting import paint

for seed in map(int, sys.argv[1:] or ["7"]):
    print(impasto.save(paint((960, 768), seed), f"painting-{seed}.png"))
