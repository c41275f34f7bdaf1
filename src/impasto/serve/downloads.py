"""Files that are given out: inputs to look at, results to keep."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from impasto.serve.job import Job
from impasto.serve.limits import RequestError
from impasto.serve.run_job import ACCOUNT, PIXELS, denoised

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.image import ImageMetadata

# What is asked for -> ending, bits a channel (None: the content image's), type.
KINDS = {
    "png": (".png", None, "image/png"),
    "png16": (".png", 16, "image/png"),
    "jpeg": (".jpg", None, "image/jpeg"),
    "webp": (".webp", None, "image/webp"),
    "tiff": (".tif", None, "image/tiff"),
    "tiff16": (".tif", 16, "image/tiff"),
}


def shown_input(path: Path, longest: int | None) -> bytes:
    """An input as a page can show it: upright, in sRGB, a PNG."""
    from impasto.images.read import open_image
    from impasto.images.tiff_read import is_scientific_tiff, open_stack
    from impasto.images.write import encode

    if is_scientific_tiff(path):
        stack = open_stack(path)
        pixels = next(stack.read_plane(index) for index in stack.plane_indices())[:1]
        pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min()).clamp(min=1e-12)
        return encode(_scaled(pixels, longest), "png", bits=8)
    picture = open_image(path)
    alpha = picture.metadata.alpha
    metadata = None if alpha is None else _carried(alpha=_scaled(alpha, longest))
    return encode(_scaled(picture.pixels, longest), "png", metadata=metadata, bits=8)


def result_file(
    job: Job,
    place: Path,
    format: str,
    strength: float | None = None,
    chroma: float | None = None,
    longest: int | None = None,
) -> tuple[bytes, str, str]:
    """A result as a file: its bytes, its name, its type.

    Args:
        job: one that has a result.
        place: its folder.
        format: one of `KINDS` that the job offers.
        strength: of a cleaning, share of the noise taken away; None as the recipe has it.
        chroma: the same for the noise in the colors.
        longest: pixels of the longer side at most, for looking; None for the whole.

    Raises:
        Refused: it is not offered.
    """
    if format not in job.result.formats:
        raise RequestError(
            422,
            f"`format` must be one of {', '.join(job.result.formats)} for this job, got "
            f"{format!r}; choose one of them",
        )
    ending, bits, kind = KINDS[format]
    stem = Path(next(one.name for one in job.uploads if one.role == "content")).stem
    name = f"{stem}-{'clean' if job.method == 'denoise' else 'painted'}{ending}"
    if job.method == "denoise":
        return _clean(job, place, ending, bits, (strength, chroma), longest), name, kind
    if strength is not None or chroma is not None:
        raise RequestError(
            422, "`strength` and `chroma` must be left out but for denoise, got them; leave them"
        )
    return _painting(job, place, ending, bits, longest), name, kind


def _painting(job: Job, place: Path, ending: str, bits: int | None, longest: int | None) -> bytes:
    """A painting's file: what `Result.save` writes."""
    from dataclasses import replace

    import safetensors.torch

    from impasto.images.read import open_image
    from impasto.images.write import encode
    from impasto.provenance import Output, Provenance

    kept = safetensors.torch.load_file(place / PIXELS)
    content = next(one.file for one in job.uploads if one.role == "content")
    metadata = open_image(place / content).metadata
    alpha = kept.get("alpha")
    metadata = replace(
        metadata, recipe=None, alpha=None if alpha is None else _scaled(alpha, longest)
    )
    account = Provenance.model_validate_json((place / ACCOUNT).read_bytes())
    account = account.model_copy(update={"output": Output(bits=bits)})
    pixels = _scaled(kept["pixels"], longest)
    record = account.model_dump_json()
    return encode(pixels, ending, metadata=metadata, recipe=record, bits=bits)


def _clean(
    job: Job,
    place: Path,
    ending: str,
    bits: int | None,
    shares: tuple[float | None, float | None],
    longest: int | None,
) -> bytes:
    """A cleaned picture's file: what `DenoiseResult.save` writes."""
    from impasto.images.write import encode
    from impasto.provenance import Output

    result = denoised(job, place)
    try:
        result = result.at(*shares)
    except ValueError as error:
        raise RequestError(422, str(error)) from None
    if job.result.stack:
        # Measured data goes through a file: its writer works a plane at a time.
        with TemporaryDirectory(dir=place) as folder:
            return result.save(Path(folder) / f"clean{ending}").read_bytes()
    metadata = result.metadata
    if longest is not None and metadata.alpha is not None:
        metadata = _carried(alpha=_scaled(metadata.alpha, longest))
    record = result.provenance(Output(bits=bits)).model_dump_json()
    pixels = _scaled(result.pixels.clamp(0, 1), longest)
    return encode(pixels, ending, metadata=metadata, recipe=record, bits=bits)


def _scaled(pixels: Tensor, longest: int | None) -> Tensor:
    """A picture (…, H, W) made smaller where it is longer than wanted."""
    from impasto.images.resize import fit_longest_side, resize

    high, wide = pixels.shape[-2:]
    if longest is None or longest >= max(wide, high):
        return pixels
    return resize(pixels, fit_longest_side((wide, high), longest))


def _carried(**facts: Any) -> ImageMetadata:
    """What goes into a file that is only looked at."""
    from impasto.images.image import ImageMetadata

    return ImageMetadata(**facts)
