"""Images that a client downloads: inputs to look at, and results in the format it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import safetensors.torch
from torch import Tensor

from impasto.errors import quote
from impasto.images.clip_names import is_video
from impasto.images.image import ImageMetadata
from impasto.images.read import open_image
from impasto.images.resize import thumbnail
from impasto.images.tiff_read import is_scientific_tiff, open_stack
from impasto.images.video_read import first_frame
from impasto.images.write import encode
from impasto.provenance import Output, Provenance
from impasto.serve.film_jobs import POSTER
from impasto.serve.job_methods import JOB_METHODS
from impasto.serve.problems import RequestError
from impasto.serve.records import JobRecord
from impasto.serve.results import PIXELS, PROVENANCE, load_denoise_result


class DownloadFormat(NamedTuple):
    """A file format of results; `bits` a channel, None for those of the content image."""

    suffix: str
    bits: int | None
    media_type: str


DOWNLOAD_FORMATS = {
    "png": DownloadFormat(".png", None, "image/png"),
    "png16": DownloadFormat(".png", 16, "image/png"),
    "jpeg": DownloadFormat(".jpg", None, "image/jpeg"),
    "webp": DownloadFormat(".webp", None, "image/webp"),
    "tiff": DownloadFormat(".tif", None, "image/tiff"),
    "tiff16": DownloadFormat(".tif", 16, "image/tiff"),
    # Files that jobs make as they are.
    "mp4": DownloadFormat(".mp4", None, "video/mp4"),
    "webm": DownloadFormat(".webm", None, "video/webm"),
    "impasto": DownloadFormat(".impasto", None, "application/octet-stream"),
}


class DownloadName(NamedTuple):
    """What a download is called, and its media type."""

    name: str
    media_type: str


def encode_input(
    path: Path, max_side: int | None, part: tuple[slice, slice] | None = None
) -> bytes:
    """Return an input as a PNG that a page can show: upright and in sRGB, without metadata.

    Args:
        path: the file that came in.
        max_side: pixels of the longer side, at most; None for full size.
        part: rows and columns to show; None for all.
    """
    part = part or (slice(None), slice(None))
    if is_video(path):
        return encode(_shrink(first_frame(path)[:, *part], max_side), "png", bits=8)
    if is_scientific_tiff(path):
        stack = open_stack(path)
        plane = next(stack.read_plane(index) for index in stack.plane_indices())
        plane = (plane if len(plane) == 3 else plane[:1])[:, *part]  # (1 or 3, H, W)
        plane = (plane - plane.min()) / (plane.max() - plane.min()).clamp(min=1e-12)
        return encode(_shrink(plane, max_side), "png", bits=8)
    image = open_image(path)
    alpha = image.metadata.alpha
    metadata = _alpha_only(None if alpha is None else alpha[part], max_side)
    return encode(_shrink(image.pixels[:, *part], max_side), "png", metadata=metadata, bits=8)


def name_result(job: JobRecord, format: str) -> DownloadName:
    """Return the name and media type of a job's result in a format.

    Raises:
        RequestError: the job does not offer the format.
    """
    if format not in job.result.formats:
        raise RequestError(
            "format_not_offered",
            f"`format` must be one of {', '.join(job.result.formats)} for this job, got "
            f"{quote(format)}; choose one of them",
        )
    suffix, _, media_type = DOWNLOAD_FORMATS[format]
    stem = Path(job.uploads[0].name).stem
    return DownloadName(f"{stem}-{JOB_METHODS[job.method].suffix}{suffix}", media_type)


def encode_result(
    job: JobRecord,
    folder: Path,
    format: str,
    shares: Mapping[str, float | None] | None = None,
    max_side: int | None = None,
) -> bytes:
    """Return the result of a job as a file.

    Args:
        job: a job that has a result.
        folder: its folder.
        format: one of `DOWNLOAD_FORMATS` that the job offers.
        shares: `strength`, `chroma` and `detail` of denoising; None leaves the recipe's.
        max_side: pixels of the longer side, at most, for a preview; None for full size.

    Raises:
        RequestError: the shares are not for the job's method.
    """
    suffix, bits, _ = DOWNLOAD_FORMATS[format]
    if JOB_METHODS[job.method].makes != "picture":
        pixels = open_image(folder / POSTER).pixels
        return encode(_shrink(pixels, max_side), suffix, bits=8)
    if job.method == "denoise":
        return _encode_denoised(job, folder, suffix, bits, shares or {}, max_side)
    if any(share is not None for share in (shares or {}).values()):
        raise RequestError(
            "shares_not_offered",
            "`strength`, `chroma` and `detail` must be left out unless a job denoises, got a job "
            f"of {job.method}; leave them out",
        )
    return _encode_painting(job, folder, suffix, bits, max_side)


def _encode_painting(
    job: JobRecord, folder: Path, suffix: str, bits: int | None, max_side: int | None
) -> bytes:
    """Encode a painting; at full size the same bytes as `Result.save` writes."""
    tensors = safetensors.torch.load_file(folder / PIXELS)
    content = job.uploads[0]
    metadata = ImageMetadata()  # a texture has no content image
    if content.role == "content":
        metadata = open_image(folder / content.file).metadata
    alpha = tensors.get("alpha")
    if alpha is not None:
        alpha = _shrink(alpha, max_side)
    metadata = replace(metadata, recipe=None, alpha=alpha)
    provenance = Provenance.model_validate_json((folder / PROVENANCE).read_bytes())
    provenance = provenance.model_copy(update={"output": Output(bits=bits)})
    return encode(
        _shrink(tensors["pixels"], max_side),
        suffix,
        metadata=metadata,
        recipe=provenance.model_dump_json(),
        bits=bits,
    )


def _encode_denoised(
    job: JobRecord,
    folder: Path,
    suffix: str,
    bits: int | None,
    shares: Mapping[str, float | None],
    max_side: int | None,
) -> bytes:
    """Encode a denoised image; at full size the same bytes as `DenoiseResult.save` writes."""
    result = load_denoise_result(job, folder)
    try:
        result = result.at(**shares)
    except ValueError as error:
        raise RequestError("wrong_parameter", str(error)) from None
    if job.result.stack:
        # A stack is written to a file a plane at a time; `encode` has no such way.
        with TemporaryDirectory(dir=folder) as temporary:
            return result.save(Path(temporary) / f"clean{suffix}").read_bytes()
    metadata = result.metadata
    if max_side is not None and metadata.alpha is not None:
        metadata = _alpha_only(metadata.alpha, max_side)
    return encode(
        _shrink(result.pixels.clamp(0, 1), max_side),
        suffix,
        metadata=metadata,
        recipe=result.provenance(Output(bits=bits)).model_dump_json(),
        bits=bits,
    )


def made_file(job: JobRecord, folder: Path, format: str) -> Path | None:
    """Return the file that a job made itself, a film or a model; None if it is to be encoded."""
    makes = JOB_METHODS[job.method].makes
    if makes == "picture" or format == "jpeg":
        return None
    return folder / ("fitted.impasto" if makes == "model" else f"film.{format}")


def _alpha_only(alpha: Tensor | None, max_side: int | None) -> ImageMetadata | None:
    """Return metadata with nothing but the shrunk alpha channel; None if there is none."""
    return None if alpha is None else ImageMetadata(alpha=_shrink(alpha, max_side))


def _shrink(pixels: Tensor, max_side: int | None) -> Tensor:
    """Resize pixels, (..., H, W), if they are longer than `max_side`."""
    return pixels if max_side is None else thumbnail(pixels, max_side)
