"""Write measured data into a TIFF like the one it came from."""

from __future__ import annotations

import contextlib
import io
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from torch import Tensor

from impasto.errors import ImageError
from impasto.files import OnRescue, atomic_path, check_writable, rescue
from impasto.images.planes_on_disk import array_on_disk, collect_planes
from impasto.images.stack import CHANNELS, Stack
from impasto.images.tiff_read import TiffPages
from impasto.images.tiff_tags import read_tag
from impasto.images.xmp import foreign_xmp, to_xmp

_XMP, _BYTES, _COLOR_MAP = 700, 1, 320  # TIFF's number of a tag, and type of its value
_DEFLATE = 8
_LOSSLESS = (5, _DEFLATE, 32946, 32773, 34925, 50000)  # LZW, deflate, PackBits, LZMA, Zstandard
_JPEG, _YCBCR, _RGB, _BLACK_IS_ZERO = (6, 7), 6, 2, 1
_CLASSIC_END = 2**32
_CLASSIC_DATA = _CLASSIC_END - 2**25  # what a classic TIFF holds, with room for its tags
# Tags that tifffile writes itself, that point into the file, or that describe a compression.
_LAYOUT_TAGS = frozenset(
    (
        *(*range(256, 260), 262, 266, 273, *range(277, 280), *range(282, 285), 292, 293, 296, 317),
        *(*range(322, 326), 330, 338, 339, 347, 400, *range(512, 522), 530, 531, 532),
        *(32997, 32998, *range(33628, 33632), 34412, 34665, 34853, 40965, 50674),
    )
)
_PORTABLE = (*range(1, 13), 16, 17)  # types of tags whose values mean the same in another file

# Number of a page -> its tags, as `TiffPages.read_tags` has them.
Tags = dict[int, list[tuple[int, int, int, Any]]]


def write_stack(
    path: str | Path,
    stack: Stack,
    planes: Iterable[Tensor],
    *,
    indices: Iterable[tuple[int, ...]] | None = None,
    recipe: str | Callable[[], str] | None = None,
    overwrite: bool = False,
    inputs: Iterable[Any] = (),
    on_rescue: OnRescue | None = None,
) -> Path:
    """Write results into a TIFF like the one the stack came from, whole or not at all.

    Everything in the file besides its pixels stays: type, axes and byte order, the metadata of
    ImageJ and OME, ranges, colors, labels, resolution and every other tag that does not point
    elsewhere. If the pixels lay in it uncompressed, the new file is the old one with other pixels.
    If they were compressed or in tiles, the pages are written anew, in the same compression if it
    is lossless and deflated if not, without smaller copies of them. An array becomes a file in
    tifffile's own form, which keeps the axes' names.

    The planes are collected on disk, beside the target, so the disk needs room for them twice;
    memory holds one at a time.

    Args:
        path: the file to write, ending in .tif or .tiff.
        stack: the stack that the planes are results of; its file is read again.
        planes: the results, (C, H, W) each, in the order of `indices`. They are taken one at a
            time, as each is written.
        indices: of the planes; None for the order of `Stack.plane_indices`.
        recipe: JSON of the recipe to store inside, as XMP, beside the properties of other
            programs; left out if the file has XMP that is broken, or ends where a classic TIFF
            must. A function that returns it is called again when all planes are taken, so that it
            may tell what was done to them.
        overwrite: replace a file that is already there.
        inputs: files that must not be written to, besides the stack's own.
        on_rescue: called if the path cannot be written any more when all planes are taken, and the
            file went to another place; None raises instead.

    Returns:
        The path written.

    Raises:
        ImageError: the path cannot be written, or holds a file and `overwrite` is False; or
            the stack's own file was changed meanwhile, or has pages that cannot be written.
        ValueError: another ending, or too few, too many or unfit planes.

    Example:
        >>> import tempfile
        >>> from impasto.images.stack import array_stack
        >>> stack = array_stack(np.zeros((4, 20, 30), np.uint16), axes="TYX")
        >>> planes = (stack.read_plane(index) for index in stack.plane_indices())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_stack(Path(folder) / "a.tif", stack, planes).name
        'a.tif'
    """
    target = Path(path)
    if target.suffix.lower() not in (".tif", ".tiff") and not target.is_dir():
        raise ValueError(
            f"`output` must end in .tif or .tiff, got {path}; measured data is kept in TIFF"
        )
    source = stack.data if isinstance(stack.data, TiffPages) else None
    sources = () if source is None else (source.file,)
    check_writable(target, overwrite=overwrite, inputs=(*inputs, *sources))
    # An uncompressed file is copied and its pixels replaced, because tifffile cannot write every
    # file as it was: it adds tags that other programs leave out, gives each page of an ImageJ stack
    # a directory, and drops what tags point to, such as EXIF.
    copied = source is not None and source.offsets is not None and not source.has_copies
    tags: Tags | None = None  # of the pages, if they are written anew
    build: Callable[[Path], None] | None = None
    with contextlib.ExitStack() as disk:
        try:
            with atomic_path(target, overwrite=overwrite, nameless=True) as temporary:
                # What cannot be written is refused before the work.
                if source is not None:
                    source.check_unchanged()
                    if copied:
                        source.copy_to(temporary)
                    else:
                        tags = {number: source.read_tags(number) for number in source.file_order}
                        _check_encoder(source, tags, recipe() if callable(recipe) else recipe)
                folder = Path(os.path.realpath(target)).parent
                array = array_on_disk(folder, stack.shape, stack.dtype)
                open_array = disk.enter_context(array)
                collect_planes(stack, open_array, planes, indices or stack.plane_indices())
                record = recipe() if callable(recipe) else recipe
                build = partial(_build, stack, open_array, record, tags)
                build(temporary)
            return target
        except ImageError as error:
            if build is None or on_rescue is None:
                raise
            write = partial(_write_again, source if copied else None, build)
            return rescue(write, target, error, on_rescue)


def _write_again(
    copied: TiffPages | None, build: Callable[[Path], None], path: Path, overwrite: bool
) -> None:
    """Write the file of a stack whose planes are collected, over a copy of its source if so."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        if copied is not None:
            copied.copy_to(temporary)
        build(temporary)


def _build(
    stack: Stack,
    open_array: Callable[[], np.memmap],
    recipe: str | None,
    tags: Tags | None,
    path: Path,
) -> None:
    """Write the file of a stack; without its pages' tags, the path has a copy of the source."""
    source = stack.data if isinstance(stack.data, TiffPages) else None
    if source is None:
        _write_array(path, stack, open_array, recipe)
    elif tags is None:
        _replace_pixels(path, source, open_array)
        with open(path, "rb") as handle, tifffile.TiffFile(handle) as file:
            packet = file.pages.first.tags.get(_XMP)
            own = [(_XMP, _BYTES, 1, read_tag(file, packet))] if packet else []
        if xmp := _xmp_with_recipe(recipe, own):
            _add_tag(path, _XMP, xmp)
    else:
        _write_pages(path, source, open_array, tags, recipe)


class _CheckedFile(io.FileIO):
    """A file without a descriptor, so that NumPy does not write to it behind Python's back.

    `ndarray.tofile`, which tifffile calls, takes no notice of a full disk in its last bytes.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")

    def write(self, data: Any) -> int:
        """Write all of the data; the system may take a part of it at a time."""
        done = 0
        try:
            with memoryview(data) as whole, whole.cast("B") as view:
                while done < len(view):
                    with view[done:] as rest:
                        done += super().write(rest)
        except OSError:
            # The error keeps tifffile's view of a BytesIO, and both would be collected in any
            # order, which Python 3.12.1 does not survive.
            if isinstance(data, memoryview):
                data.release()
            raise
        return done


def _write_array(
    path: Path, stack: Stack, open_array: Callable[[], np.memmap], recipe: str | None
) -> None:
    """Write the file of an array, in tifffile's own form."""
    order = ">" if stack.dtype.str.startswith(">") else "<"
    # Channels side by side, which tifffile cannot have for bits, and does not for one.
    last = stack.axes[-1] in CHANNELS and stack.shape[-1] > 1 and stack.dtype.kind != "b"
    colors = last and stack.shape[-1] == 3 and stack.dtype.kind in "uf"
    outer = stack.shape[: -3 if last else -2]
    # tifffile packs eight bits into a byte only of whole arrays.
    pages = (open_array()[index] for index in np.ndindex(*outer))
    big = math.prod(stack.shape) * stack.dtype.itemsize > _CLASSIC_DATA
    with (
        _CheckedFile(path, "w+") as file,
        tifffile.TiffWriter(file, byteorder=order, bigtiff=big, ome=False) as writer,
    ):
        writer.write(
            open_array() if stack.dtype.kind == "b" else pages,
            shape=stack.shape,
            dtype=stack.dtype,
            photometric=_RGB if colors else _BLACK_IS_ZERO,
            planarconfig=1 if last else None,
            metadata={"axes": stack.axes},
            software=False,
            extratags=[(_XMP, _BYTES, None, to_xmp(recipe), True)] if recipe else (),
        )


def _replace_pixels(path: Path, source: TiffPages, open_array: Callable[[], np.memmap]) -> None:
    """Write pages over those in a copy of the source."""
    with open(path, "r+b") as file:
        for number, offset in enumerate(source.offsets):
            file.seek(offset)
            file.write(_page(source, open_array, number).tobytes())


def _add_tag(path: Path, code: int, value: bytes) -> None:
    """Give a file's first page one more tag of bytes, in place of an earlier one of that code.

    tifffile overwrites tags but adds none: here the page's directory is written again at the end
    of the file, unless that is a classic TIFF of 4 GB, which has no room for it.

    Args:
        path: the file.
        code: TIFF's number of the tag.
        value: more than eight bytes, so that they are stored outside the directory.
    """
    # A file without a name has a path that tifffile cannot open.
    with open(path, "r+b") as handle, tifffile.TiffFile(handle) as tiff:
        file, form = tiff.filehandle, tiff.tiff
        file.seek(tiff.pages.first.offset)
        count = struct.unpack(form.tagnoformat, file.read(form.tagnosize))[0]
        entries = [file.read(form.tagsize) for _ in range(count)]
        next_page = file.read(form.offsetsize)
        position = file.size + file.size % 2
        directory = position + len(value) + len(value) % 2
        if form.offsetsize == 4 and directory + count * form.tagsize + 32 > _CLASSIC_END:
            return

        def code_of(entry: bytes) -> int:
            return struct.unpack(form.byteorder + "H", entry[:2])[0]

        layout = f"{form.byteorder}HH{2 * form.offsetformat[1:]}"
        entries = [entry for entry in entries if code_of(entry) != code]
        entries.append(struct.pack(layout, code, _BYTES, len(value), position))
        file.seek(position)
        file.write(value + bytes(len(value) % 2))
        file.write(struct.pack(form.tagnoformat, len(entries)))
        file.write(b"".join(sorted(entries, key=code_of)) + next_page)
        file.seek(form.offsetsize)  # where the header has the first directory's position
        file.write(struct.pack(form.offsetformat, directory))


def _write_pages(
    path: Path,
    source: TiffPages,
    open_array: Callable[[], np.memmap],
    tags: Tags,
    recipe: str | None,
) -> None:
    """Write compressed or tiled pages anew, each with its tags."""
    size = math.prod(source.shape) * source.dtype.itemsize
    options = _writer_options(source, size)
    with _CheckedFile(path, "w+") as file, tifffile.TiffWriter(file, **options) as writer:
        order = source.file_order
        for number in order:
            page = _page(source, open_array, number)
            record = recipe if number == order[0] else None
            with _refusing_pages(source):
                _write_page(writer, source, tags[number], page, record)


def _check_encoder(source: TiffPages, tags: Tags, recipe: str | None) -> None:
    """Refuse pages that tifffile reads but cannot write."""
    blank = np.zeros(source.shape[source.outer :], source.dtype)
    with (
        _refusing_pages(source),
        tifffile.TiffWriter(io.BytesIO(), **_writer_options(source, blank.nbytes)) as writer,
    ):
        _write_page(writer, source, tags[source.file_order[0]], blank, recipe)


@contextlib.contextmanager
def _refusing_pages(source: TiffPages) -> Iterator[None]:
    """Turn whatever a page's tags make tifffile raise into the error that refuses the file."""
    try:
        yield
    except (ImageError, MemoryError, OSError):
        raise
    except Exception as error:
        photometric = source.series.keyframe.photometric
        why = f"impasto cannot write its {getattr(photometric, 'name', 'odd')} pages again"
        raise source.error(why, way_out="save it without compression") from error


def _writer_options(source: TiffPages, size: int) -> dict[str, Any]:
    file = source.series.parent
    big = file.is_bigtiff or size > _CLASSIC_DATA
    return {"byteorder": file.byteorder, "bigtiff": big, "ome": False, "shaped": False}


def _write_page(
    writer: tifffile.TiffWriter,
    source: TiffPages,
    tags: list[tuple[int, int, int, Any]],
    page: np.ndarray,
    recipe: str | None,
) -> None:
    """Write one page with the tags of the source's, and a recipe besides."""
    keyframe = source.series.keyframe
    dropped = {*_LAYOUT_TAGS, _COLOR_MAP} if source.palette else _LAYOUT_TAGS
    extratags = [
        (code, kind, count, value, True)
        for code, kind, count, value in tags
        if code not in dropped and kind in _PORTABLE
    ]
    if xmp := _xmp_with_recipe(recipe, tags):
        extratags = [tag for tag in extratags if tag[0] != _XMP]
        extratags.append((_XMP, _BYTES, None, xmp, True))
    layout = _page_layout(keyframe, source.dtype, uncompressed=source.offsets is not None)
    if source.palette:
        layout = {**layout, "photometric": _RGB, "planarconfig": 1}
        layout.pop("bitspersample", None)
    else:
        page = page.reshape(keyframe.shape)
    writer.write(page, **layout, **_resolution(tags), extratags=extratags, maxworkers=1)


def _page_layout(page: tifffile.TiffPage, dtype: np.dtype, *, uncompressed: bool) -> dict[str, Any]:
    """Return the options that write a page as the given one was written."""
    compression, photometric = int(page.compression), int(page.photometric)
    if compression in _JPEG and photometric == _YCBCR:
        photometric = _RGB  # as it was decoded
    if photometric not in tifffile.TIFF.PHOTOMETRIC_SAMPLES:
        photometric = _BLACK_IS_ZERO
    # tifffile would take uncompressed pages that follow each other for one page.
    if compression not in _LOSSLESS and (compression != 1 or uncompressed):
        compression = _DEFLATE
    layout: dict[str, Any] = {"photometric": photometric, "metadata": None, "software": False}
    if compression != 1:
        layout |= {"compression": compression}
        layout |= {"predictor": page.predictor != 1 and dtype.kind in "fiu"}
    elif isinstance(page.bitspersample, int) and dtype.kind == "u":
        layout["bitspersample"] = page.bitspersample
    if page.samplesperpixel > 1:
        layout["planarconfig"] = int(page.planarconfig)
    if 0 < len(page.extrasamples) < page.samplesperpixel:
        layout["extrasamples"] = tuple(map(int, page.extrasamples))
    if page.imagedepth > 1:
        layout["volumetric"] = True
    if page.is_tiled and not any(side % 16 for side in page.tile[-2:]):
        layout["tile"] = page.tile
    elif not page.is_tiled:
        layout["rowsperstrip"] = page.rowsperstrip
    return layout


def _resolution(tags: list[tuple[int, int, int, Any]]) -> dict[str, Any]:
    """Return a page's pixels to a unit of length, and the unit."""
    values = {code: value for code, _, _, value in tags}
    ratios = [values.get(code) for code in (282, 283)]
    if not all(isinstance(ratio, tuple) and len(ratio) == 2 and ratio[1] for ratio in ratios):
        return {}
    unit = int.from_bytes(values.get(296, b"\2\0").strip(b"\0"), "little")
    return {"resolution": ratios, "resolutionunit": unit if 1 <= unit <= 5 else 1}


def _xmp_with_recipe(recipe: str | None, tags: list[tuple[int, int, int, Any]]) -> bytes | None:
    """Return a page's XMP with a recipe in it; None without a recipe, or for XMP that is broken."""
    packets = [value for code, _, _, value in tags if code == _XMP]
    try:
        return to_xmp(recipe, foreign_xmp(packets[0] if packets else None)) if recipe else None
    except ValueError:
        return None


def _page(source: TiffPages, open_array: Callable[[], np.memmap], number: int) -> np.ndarray:
    """One page of an array that has the source's axes."""
    return open_array().reshape(-1, *source.shape[source.outer :])[number]
