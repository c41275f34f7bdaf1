"""One photograph at four strengths: `python examples/every_strength.py photo.jpg painting.jpg`."""

import sys

import impasto
from impasto.demo import painting, photograph

content, style = sys.argv[1:] or (photograph(), painting())
for strength in (0.2, 0.4, 0.6, 0.8):
    result = impasto.stylize(content, style, strength=strength, size=384)
    print(result.save(f"strength-{strength:g}.png", overwrite=True))
