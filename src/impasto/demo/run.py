"""The demo from end to end: a photograph, a painting, and the one in the manner of the other."""

from __future__ import annotations

from pathlib import Path

from impasto.api import stylize
from impasto.demo.painting import paint
from impasto.demo.photograph import photograph
from impasto.figures import loss_curve, save_figure, triptych
from impasto.files import ensure_directory
from impasto.images.write import check_output, save
from impasto.presets import style_recipe
from impasto.result import OnStep

# What the demo writes, in the order in which it is made.
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
    size: int = 384,
    steps: int = 200,
) -> dict[str, Path]:
    """Stylize a photograph with a painting, both at hand, and write all there is to see of it.

    Needs no picture and no network. The photograph is scikit-image's cat; the painting is made
    on the spot by `impasto.demo.painting.paint`.

    Args:
        folder: where the five pictures go; made if it is missing.
        on_step: called after each evaluation of the loss.
        overwrite: replace pictures of an earlier demo.
        size: longer side of the result in pixels; larger shows finer strokes and takes longer.
        steps: evaluations of the loss; more lowers it further and takes longer.

    Returns:
        Where each picture was written, under the names `content`, `style`, `result`, `figure`
        (the three in a row) and `losses` (how the loss fell).

    Raises:
        ImageError: the folder cannot be made or written, or a picture is already there and
            `overwrite` is False; nothing has been computed then.
        ValueError: `size` or `steps` is out of range.
    """
    recipe = style_recipe(size=size, steps=steps)
    paths = _preflight(Path(folder), overwrite)
    content = photograph()  # (3, h, w)
    style = paint()  # (3, 512, 640)
    result = stylize(content, style, recipe=recipe, on_step=on_step)
    save(content, paths["content"], overwrite=overwrite)
    save(style, paths["style"], overwrite=overwrite)
    result.save(paths["result"], overwrite=overwrite)
    figure = triptych(content, style, result.pixels)
    save_figure(figure, paths["figure"], overwrite=overwrite)
    curve = loss_curve(result.history, result.scale_starts)
    save_figure(curve, paths["losses"], overwrite=overwrite)
    return paths


def _preflight(folder: Path, overwrite: bool) -> dict[str, Path]:
    """Where everything goes, the folder made, once all of it is known to be writable."""
    ensure_directory(folder)
    return {name: check_output(folder / file, overwrite=overwrite) for name, file in FILES.items()}
