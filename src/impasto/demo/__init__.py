"""The demo: a photograph and a painting at hand, and the one in the style of the other."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from impasto.api import stylize
from impasto.errors import ImageError
from impasto.figures import loss_curve, save_figure, triptych
from impasto.files import OnRescue, ensure_directory, write_or_rescue
from impasto.images.read import open_image
from impasto.images.write import check_output, save
from impasto.presets import style_recipe
from impasto.result import OnStep

# Chelsea the cat, by Stefan van der Walt, who released it as CC0; scikit-image installs it.
PHOTOGRAPH = "chelsea.png"
# A lake in the evening, (512, 640) pixels. docs/make_demo_painting.py made it.
PAINTING = "painting.jpg"

# The files that the demo writes, in the order in which they are made.
FILES = {
    "content": "content.png",
    "style": "style.png",
    "result": "result.png",
    "figure": "figure.png",
    "losses": "losses.png",
}


def demo(
    folder: str | Path,
    *,
    on_step: OnStep | None = None,
    overwrite: bool = False,
    on_rescue: OnRescue | None = None,
    size: int = 384,
    steps: int | str = "auto",
) -> dict[str, Path]:
    """Stylize the demo's photograph with the demo's painting and write both, the result and plots.

    Needs no picture of yours and no network.

    Args:
        folder: where the five pictures go; made if it is missing.
        on_step: called after each evaluation of the loss.
        overwrite: replace pictures of an earlier demo.
        on_rescue: called with another place and the reason for each picture that cannot be written
            into the folder any more when it is done, and went there; None raises instead.
        size: longer side of the result in pixels; larger shows finer strokes and takes longer.
        steps: evaluations of the loss; more lowers it further and takes longer; `auto` as many as
            show in the picture.

    Returns:
        The path of each picture, under the names `content`, `style`, `result`, `figure` (the
        three in a row) and `losses` (the loss at every evaluation).

    Raises:
        ImageError: the folder cannot be made or written, or a picture is already there and
            `overwrite` is False; nothing has been computed then.
        ValueError: `size` or `steps` is out of range.
    """
    recipe = style_recipe(size=size, steps=steps)
    folder = Path(folder)
    ensure_directory(folder)
    # All outputs are checked before minutes of work.
    paths = {name: check_output(folder / file, overwrite=overwrite) for name, file in FILES.items()}
    content = photograph()  # (3, 300, 451)
    style = painting()  # (3, 512, 640)
    result = stylize(content, style, recipe=recipe, on_step=on_step)
    figure = triptych(content, style, result.pixels)
    curve = loss_curve(result.history, result.scale_starts)
    writers: dict[str, Callable[[Path, bool], object]] = {  # what took the work comes first
        "result": lambda path, overwrite: result.save(path, overwrite=overwrite),
        "content": lambda path, overwrite: save(content, path, overwrite=overwrite),
        "style": lambda path, overwrite: save(style, path, overwrite=overwrite),
        "figure": lambda path, overwrite: save_figure(figure, path, overwrite=overwrite),
        "losses": lambda path, overwrite: save_figure(curve, path, overwrite=overwrite),
    }
    for name, write in writers.items():
        if on_rescue is None:
            write(paths[name], overwrite)
        else:
            paths[name] = write_or_rescue(write, paths[name], on_rescue, overwrite=overwrite)
    return paths


def photograph() -> Tensor:
    """Return the demo's content image: Chelsea, a cat, who looks straight at you.

    Photographed by Stefan van der Walt and released as CC0. Read from the file that scikit-image
    installs, never downloaded.

    Returns:
        The photograph, (3, 300, 451) float32 in [0, 1], sRGB, on the CPU.

    Raises:
        ImageError: scikit-image is not installed, or without this photograph.

    Example:
        >>> photograph().shape
        torch.Size([3, 300, 451])
    """
    # files() on the data package would import it; its folder is all that is needed.
    file = files("skimage").joinpath("data", PHOTOGRAPH) if find_spec("skimage") else None
    if file is None or not file.is_file():
        raise ImageError(
            f"the demo's photograph must be scikit-image's data/{PHOTOGRAPH}, got no such file; "
            "install scikit-image again"
        )
    with as_file(file) as path:
        return open_image(path, name="photograph").pixels


def painting() -> Tensor:
    """Return the demo's style image: a landscape in oil, a lake among hills in the evening.

    Painted by a program, docs/make_demo_painting.py, and shipped in the package as a JPEG.

    Returns:
        The painting, (3, 512, 640) float32 in [0, 1], sRGB, on the CPU.

    Example:
        >>> painting().shape
        torch.Size([3, 512, 640])
    """
    with as_file(files("impasto.demo").joinpath(PAINTING)) as path:
        return open_image(path, name="painting").pixels
