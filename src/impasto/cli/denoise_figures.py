"""What `impasto denoise --figure` and `--pairs` draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from impasto.cli import files

if TYPE_CHECKING:
    from impasto.images.image import Image
    from impasto.images.stack import Stack

F = TypeVar("F", bound=Callable[..., Any])


def figure_options(command: F) -> F:
    """`--figure`, `--truth` and `--pairs`."""
    for option in (
        click.option("--pairs", metavar="FILE", help="draw IN beside its two half-size views"),
        click.option(
            "--truth", metavar="FILE", help="IN without noise, drawn and measured in the figure"
        ),
        click.option(
            "--figure", metavar="FILE", help="draw IN and the result: .png .jpg .pdf .svg"
        ),
    ):
        command = option(command)
    return command


def check_figures(
    options: Mapping[str, Any], saving: files.SaveOptions, residual: str | None
) -> None:
    """Refuse every place of a figure that cannot be written, and a truth that nothing shows."""
    from impasto.figures import check_figure

    if options["truth"] and not options["figure"]:
        raise ValueError(
            f"`truth` needs a figure to be drawn in, got {options['truth']!r}; add --figure FILE"
        )
    taken = {Path(place).resolve(): "output" for place in files.files(saving.output)}
    taken |= {Path(residual).resolve(): "residual"} if residual else {}
    for name in ("figure", "pairs"):
        place = options[name]
        if place is None:
            continue
        check_figure(place, overwrite=saving.overwrite, inputs=saving.inputs, name=name)
        other = taken.setdefault(Path(place).resolve(), name)
        if other != name:
            raise ValueError(
                f"`{name}` must be a file of its own, got {place!r}, which `{other}` writes; "
                "choose another name"
            )


def truth_of(options: Mapping[str, Any], source: Image | Stack, axes: str) -> Any:
    """The picture without noise, of the same size; None where none is given."""
    if not options["truth"]:
        return None
    truth = files.open_measured(options["truth"], "truth", axes)
    own, other = (_shape(one) for one in (source, truth))
    if own != other:
        raise ValueError(
            f"`truth` must have the size of IN, {own[0]} × {own[1]}, got {other[0]} × {other[1]}; "
            "give the same picture without noise"
        )
    return truth


def draw(noisy: Any, clean: Any, truth: Any, options: Mapping[str, Any], measured: bool) -> None:
    """Draw the figures that were asked for; measured data from its own black to its own white."""
    from impasto.denoise_figures import denoise_figure, pair_figure
    from impasto.figures import save_figure

    if options["figure"]:
        row = denoise_figure(truth, noisy, clean, stretch=measured)
        save_figure(row, options["figure"], options["overwrite"])
    if options["pairs"]:
        save_figure(pair_figure(noisy, stretch=measured), options["pairs"], options["overwrite"])


def _shape(source: Image | Stack) -> tuple[int, int]:
    """(width, height) of a picture or of a stack's planes."""
    if hasattr(source, "plane_shape"):
        return source.plane_shape[2], source.plane_shape[1]
    return source.size
