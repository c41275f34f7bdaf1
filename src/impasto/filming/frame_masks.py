"""Masks of a film: one for all frames, or one for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from impasto.images.image import Image, SourceFile
from impasto.images.masks import check_mask_shape, open_mask
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource
from impasto.images.video_read import Clip, clip_name, clip_sha256, is_frames, numbered_files


class FrameMasks(NamedTuple):
    """A mask for each frame of a film.

    Attributes:
        name: the argument's, for errors.
        image: the mask of all frames; None if each has its own.
        paths: the masks of the frames.
        size: (width, height) of the clip.
        source: name and hash of the mask's file, or of the folder or pattern.
    """

    name: str
    image: Image | None
    paths: tuple[Path, ...]
    size: tuple[int, int]
    source: SourceFile

    def at(self, number: int) -> Image | None:
        """Return the mask of a frame of the film, from 0; None where it is black all over."""
        if self.image is not None:
            return self.image
        mask = open_mask(self.paths[number], self.name, black=True)
        check_mask_shape(mask, self.size, self.name, "the clip")
        return mask if bool(mask.pixels.any()) else None


def open_frame_masks(
    source: ImageSource, name: str, clip: Clip, part: tuple[int, int]
) -> FrameMasks:
    """Open a mask, or a folder or pattern of masks, one for each frame of a clip.

    Args:
        source: a mask as `open_mask` takes it; or a folder, or a pattern such as `mask_%04d.png`.
        name: the argument's name in errors.
        clip: the clip, which has as many frames.
        part: first frame of the film in it, and the one behind its last.

    Raises:
        ValueError: another number of masks than of frames, or proportions that differ.
        ImageError: a file that cannot be read.
    """
    if not is_mask_folder(source):
        mask = open_mask(source, name)
        check_mask_shape(mask, clip.size, name, "the clip")
        return FrameMasks(name, mask, (), clip.size, identify_input(mask))
    place = Path(source)
    paths = numbered_files(place, name)
    if len(paths) != clip.frames:
        raise ValueError(
            f"`{name}` must be one mask for each of the clip's {clip.frames} frames, got "
            f"{len(paths)} in {source}; add those that are missing, or give one for all"
        )
    origin = SourceFile(clip_name(place), clip_sha256(place))
    masks = FrameMasks(name, None, tuple(paths[slice(*part)]), clip.size, origin)
    for number in range(len(masks.paths)):
        masks.at(number)
    return masks


def is_mask_folder(source: object) -> bool:
    """Return whether masks are given frame by frame: as a folder, or by a pattern."""
    if not isinstance(source, (str, Path)):
        return False
    return is_frames(Path(source))


def open_masks(
    sources: Mapping[str, ImageSource | None], clip: Clip, part: tuple[int, int]
) -> dict[str, FrameMasks | None]:
    """Open masks by the names of their arguments, as `open_frame_masks` does each."""
    return {
        name: None if source is None else open_frame_masks(source, name, clip, part)
        for name, source in sources.items()
    }


def masks_of(masks: Mapping[str, FrameMasks | None], number: int) -> dict[str, Image | None]:
    """Return the masks of a frame of the film, from 0, by the names of their arguments."""
    return {name: each and each.at(number) for name, each in masks.items()}
