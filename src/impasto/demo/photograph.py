"""The demo's photograph: one that scikit-image ships inside its package."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.util import find_spec

from torch import Tensor

from impasto.errors import ImageError
from impasto.images.read import open_image

# Chelsea the cat, by Stefan van der Walt, who released it as CC0.
NAME = "chelsea.png"


def photograph() -> Tensor:
    """The demo's content image: Chelsea, a cat, who looks straight at you.

    Photographed by Stefan van der Walt and released as CC0. Read from the file that scikit-image
    installs, never fetched: nothing here opens the network.

    Returns:
        The photograph, (3, 300, 451) float32 in [0, 1], sRGB, on the CPU.

    Raises:
        ImageError: scikit-image is not installed, or without this photograph.

    Example:
        >>> photograph().shape
        torch.Size([3, 300, 451])
    """
    # files() on the data package would import it; the folder beside it is all that is needed.
    place = files("skimage").joinpath("data", NAME) if find_spec("skimage") else None
    if place is None or not place.is_file():
        raise ImageError(
            f"the demo's photograph must be scikit-image's data/{NAME}, got no such file; "
            "install scikit-image again"
        )
    with as_file(place) as path:
        return open_image(path, name="photograph").pixels
