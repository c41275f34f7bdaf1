"""One photograph under several skies: `python examples/every_evening.py photograph.jpg`."""

import sys

import impasto
from impasto.demo.painting import paint
from impasto.demo.photograph import photograph

content = sys.argv[1] if len(sys.argv) > 1 else photograph()
for seed in range(3):
    result = impasto.stylize(content, paint(seed=seed), size=384)
    print(result.save(f"evening-{seed}.png"))
