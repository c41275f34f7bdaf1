"""The end of a run: its files are written, and none is lost over another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options import PIPE
from impasto.cli.terminal import drop_output, echo
from impasto.errors import ImageError, ImpastoError
from impasto.files import check_writable, rescue, write_atomically, write_or_rescue
from impasto.images.write import encode, left_out_notes
from impasto.images.zarr_names import is_url
from impasto.provenance import Output, sidecar_path, sidecar_text

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.cli.files import SaveOptions
    from impasto.images.image import ImageMetadata
    from impasto.result import DenoiseResult, OnStep, Result, Step

    # Writes a file to a path; the flag says whether one that exists is replaced.
    Write = Callable[[Path, bool], object]

_PIPED = "impasto.png"  # name of a picture that stdout does not take


class Delivery:
    """Writes the files of one run when its work is done.

    A file whose place cannot be written any more goes to another one. What is written besides the
    result may fail without costing anything else.

    Args:
        saving: how the result is written.

    Attributes:
        problems: a sentence about each file that is not where it was asked for.
    """

    def __init__(self, saving: SaveOptions) -> None:
        self.saving = saving
        self.problems: list[str] = []

    def write(self, name: str, path: str | Path, write: Write) -> str:
        """Write the result itself, and return where it is.

        Args:
            name: of the option that names the path.
            path: where to.
            write: writes it.

        Raises:
            ImageError, OSError: no place can be written.
        """

        def tell(place: Path, error: Exception) -> None:
            self._add(name, path, error, f"it is in {place}")

        return str(write_or_rescue(write, Path(path), tell, overwrite=self.saving.overwrite))

    def write_extra(self, name: str, path: str | Path | None, write: Write) -> None:
        """Write a file besides the result, whatever happens; None for no file."""
        if path is None:
            return
        try:
            self.write(name, path, write)
        except Exception as error:  # the result stands
            self._add(name, path, error, "the rest is done")

    def write_result(self, result: Result | DenoiseResult) -> str:
        """Write a result's image with its provenance; return its path, or `-`."""
        provenance = result.provenance(Output(**self.saving.writer_options)).model_dump_json()
        path = self._write_pixels(result.pixels, result.metadata, provenance)
        self.write_sidecar(path, provenance)
        print_left_out(self.saving, result.metadata, result.size, provenance)
        return path

    def write_sidecar(self, output: str, provenance: str) -> None:
        """Write the provenance beside the image, where one is asked for."""
        if self.saving.sidecar and output != PIPE and not is_url(output):
            self.write_extra("sidecar", sidecar_path(output), _writer(sidecar_text(provenance)))

    def watcher(self, name: str, watch: OnStep) -> OnStep:
        """Return a watcher of steps that writes or records, and fails without ending the run."""
        failed = False

        def on_step(step: Step) -> None:
            nonlocal failed
            try:
                watch(step)
            except Exception as error:
                if not failed:
                    failed = True
                    self.problems.append(
                        f"`{name}` failed at evaluation {step.evaluation}: {_reason(error)}"
                    )

        return on_step

    def tell_rescue(self, place: Path, error: Exception) -> None:
        """Note that the result had to go to another place."""
        self._add("output", self.saving.output, error, f"it is in {place}")

    def tell_checkpoint(self, error: ImageError) -> None:
        """Note, once, that the state of the run could not be saved."""
        sentence = f"`checkpoint` could not be saved: {_reason(error)}"
        if sentence not in self.problems:
            self.problems.append(sentence)

    def _write_pixels(self, pixels: Tensor, metadata: ImageMetadata, provenance: str) -> str:
        """Write an image; where its format fails, as a PNG."""
        saving = self.saving
        piped = saving.output == PIPE
        path = Path(_PIPED if piped else saving.output)
        contents: Mapping[str, Any] = {"metadata": metadata, "recipe": provenance}
        try:
            data = encode(pixels, path.suffix, **contents, **saving.writer_options)
        except Exception as error:
            private = {name: saving.writer_options[name] for name in ("strip_gps", "strip")}
            data = encode(pixels, "png", **contents, **private)
            return self._rescue(data, path.with_suffix(".png"), error)
        if not piped:
            return self.write("output", path, _writer(data, saving.inputs))
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            drop_output(sys.stdout)
            return self._rescue(data, path, error)
        return PIPE

    def _rescue(self, data: bytes, path: Path, error: Exception) -> str:
        """Write the bytes of an image elsewhere, and return where they are."""
        return str(rescue(_writer(data), path, error, self.tell_rescue))

    def _add(self, name: str, path: str | Path, error: Exception, outcome: str) -> None:
        reason = _reason(error)
        self.problems.append(f"`{name}` could not be written to {path}: {reason}; {outcome}")


def _writer(data: bytes, inputs: Sequence[str] = ()) -> Write:
    """Return a function that writes some bytes, but over none of the inputs."""

    def write(path: Path, overwrite: bool) -> None:
        if overwrite:
            check_writable(path, overwrite=True, inputs=inputs)
        write_atomically(data, path, overwrite=overwrite)

    return write


def _reason(error: Exception) -> str:
    """Word an error to end a sentence."""
    for cause in (error, error.__cause__):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    if isinstance(error, ImpastoError):
        return str(error).rpartition("; ")[0] or str(error)  # without the way out
    return str(error) or type(error).__name__


def print_left_out(
    saving: SaveOptions, metadata: ImageMetadata, size: tuple[int, int], recipe: str | None
) -> None:
    """Say on stderr what of the input's metadata the output's format does not hold.

    Args:
        saving: the image's path, and what is to be left out of it.
        metadata: of the input.
        size: (width, height) of the image.
        recipe: JSON of the recipe stored inside.
    """
    ending = ".png" if saving.output == PIPE else Path(saving.output).suffix
    options = {"recipe": recipe, "strip_gps": saving.strip_gps, "strip": saving.strip}
    for note in left_out_notes(metadata, ending, size, **options):
        echo(f"impasto: {saving.output}: {note}", err=True)
