"""`python -m impasto` is the command `impasto`."""

import sys

from impasto.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
