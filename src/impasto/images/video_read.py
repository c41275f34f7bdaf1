"""Read film: video files, and folders or patterns of numbered frames, one frame at a time."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impasto.errors import ImageError, ImageFileError, quote
from impasto.files import file_sha256, recorded_name
from impasto.images.clip_names import PATTERN, is_pattern
from impasto.images.image import Image, SourceFile
from impasto.images.opencv import open_capture
from impasto.images.read import image_files, open_image, read_metadata

_RATE = 25  # frames a second of numbered frames, which do not say
_MIN_RATE, _MAX_RATE = 0.01, 1000
_MOMENT = re.compile(r"\d{1,9}(\.\d{1,6})?s?")
_MAX_DENOMINATOR = 1001  # of 30000/1001 and its like
_UNEVEN = 0.25  # of a frame's time that another may last longer before it is said
_MIN_SIDE = 1
_MAX_BROKEN = 50  # frames in a row that cannot be decoded, after which a video is taken to end
_NUMBER = re.compile(r"(\d+)(?!.*\d)")  # the last one of a name
# How files name a track of sound: MP4 and MOV, AVI, Matroska and WebM.
_SOUND = re.compile(rb"hdlr.{8}soun|auds|A_(?:OPUS|VORBIS|AAC|MPEG|AC3|EAC3|FLAC|PCM)", re.DOTALL)
_SEARCHED = 1 << 22  # bytes at each end of a file in which its tracks are looked for


@dataclass(frozen=True)
class Clip:
    """A film to read.

    Attributes:
        path: the file, folder or pattern.
        size: (width, height) of its frames as they are shown, upright and with square pixels.
        frames: how many can be read, counted.
        rate: frames a second.
        sha256: of the file, or of those of all frames.
        paths: the files of numbered frames, in order; empty for a video.
        has_sound: whether the file names a track of sound.
        notes: what is not as the file says, each the end of a sentence that begins with its name.
    """

    path: Path
    size: tuple[int, int]
    frames: int
    rate: Fraction
    sha256: str
    paths: tuple[Path, ...] = ()
    has_sound: bool = False
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> SourceFile:
        """Name and hash, as provenance has them."""
        return SourceFile(clip_name(self.path), self.sha256)

    @cached_property
    def numbers(self) -> Sequence[int]:
        """The numbers that frames are known by: of their files, or counted from 0."""
        numbers = [_frame_number(path)[0] for path in self.paths]
        distinct = len(set(numbers)) == self.frames and min(numbers) >= 0
        return numbers if distinct else range(self.frames)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Image]:
        """Yield frames from `start` up to `stop`, which is left out.

        Raises:
            ImageError: the file has changed, or a frame is of another size.
        """
        stop = self.frames if stop is None else stop
        if self.paths:
            for path in self.paths[start:stop]:
                yield self._checked(open_image(path, name="clip"))
            return
        count = start
        for array in _decode(self.path, start, stop):
            count += 1
            yield self._checked(Image(_to_tensor(array)))
        if count < stop:
            raise ImageError(
                f"`clip` must have {self.frames} frames as when it was opened, got {self.path} "
                f"with {count}; do not change it while it is painted"
            )

    def _checked(self, frame: Image) -> Image:
        _check_size(self.path, self.size, frame.size)
        return frame


def _check_size(place: Path, first: tuple[int, int], other: tuple[int, int]) -> None:
    if first != other:
        raise ImageError(
            f"`clip` must have frames of one size, got {place} with {first[0]} × {first[1]} and "
            f"{other[0]} × {other[1]}; resize them"
        )


def open_clip(path: str | Path, rate: float | str = "auto") -> Clip:
    """Open a film, decode it once, and count its frames: what its header says is not believed.

    Args:
        path: a video file, a folder of frames, or a pattern such as `frame_%04d.png`.
        rate: frames a second; `auto` for the file's own, 25 for numbered frames.

    Raises:
        ImageError: there is nothing to read, or no frame in it.
    """
    place = Path(path)
    if is_frames(place):
        return _open_frames(place, numbered_files(place, "clip"), rate)
    if not place.is_file():
        raise ImageFileError(
            "clip", "be a film that exists", str(path), "; choose a file or a folder of frames"
        )
    return _open_video(place, rate)


def first_frame(path: Path) -> torch.Tensor:
    """Return the first frame of a video, (3, H, W).

    Raises:
        ImageFileError: it cannot be decoded.
    """
    for array in _decode(path, 0, 1):
        return _to_tensor(array)
    raise ImageFileError("clip", "be a film", str(path), ": no picture in it can be decoded")


def parse_range(text: str, frames: int, rate: Fraction) -> tuple[int, int]:
    """Return the first frame of a range, and the one behind its last.

    Args:
        text: `whole`, or `A:B` in frames, from 0, or in seconds, with an `s`; B may be left out.
        frames: how many there are.
        rate: frames a second.

    Raises:
        ValueError: no frame is in it.

    Example:
        >>> parse_range("0:10s", 300, Fraction(25)), parse_range("20:", 300, Fraction(25))
        ((0, 250), (20, 300))
    """
    if text == "whole":
        return 0, frames
    first, _, last = text.partition(":")
    start, stop = frame_at(first, rate), frames if not last else frame_at(last, rate)
    stop = min(stop, frames)
    if start >= stop:
        raise ValueError(
            f"`range` must hold a frame of the clip, which has {frames} "
            f"({float(frames / rate):.3g} s), got {quote(text)}; choose an earlier or longer part"
        )
    return start, stop


def is_moment(text: str) -> bool:
    """Return whether a text names a moment: a frame, from 0, or seconds with an `s`.

    Example:
        >>> is_moment("60"), is_moment("2.5s"), is_moment("soon")
        (True, True, False)
    """
    return bool(_MOMENT.fullmatch(text))


def frame_at(text: str, rate: Fraction) -> int:
    """Return the number of the frame at a moment: a number from 0, or seconds with an `s`."""
    if not text.endswith("s"):
        return round(float(text))
    return round(Fraction(text[:-1]) * rate)


def _open_frames(place: Path, paths: list[Path], rate: float | str) -> Clip:
    """Open numbered frames; the pixels of each are read when its turn comes."""
    first = open_image(paths[0], name="clip")
    for path in paths:
        _check_size(place, first.size, read_metadata(path, name="clip").size)
    digest = _frames_sha256(paths)
    seconds = Fraction(_RATE) if rate == "auto" else _fraction(float(rate))
    return Clip(place, first.size, len(paths), seconds, digest, tuple(paths))


def clip_name(place: Path) -> str | None:
    """Return the name of a file, folder or pattern as provenance holds it, without its folder.

    Example:
        >>> clip_name(Path("films/a.mp4")), clip_name(Path("in/frame_%04d.png"))
        ('a.mp4', 'frame_%04d.png')
    """
    return recorded_name(os.path.basename(os.path.abspath(place)))


def clip_sha256(place: Path) -> str:
    """Return the hash of a file, or of those of all frames or masks of a folder or pattern.

    Raises:
        ImageError: there are none.
        OSError: a file cannot be read.
    """
    if is_frames(place):
        return _frames_sha256(numbered_files(place, "clip"))
    return file_sha256(place)


def is_frames(place: Path) -> bool:
    """Return whether a path is a folder, or a pattern of numbered files."""
    # `os.path` finds nothing where a name is too long; `Path` raises an error.
    return os.path.isdir(place) or (not os.path.exists(place) and is_pattern(place))


def _frames_sha256(paths: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(map(file_sha256, paths)).encode()).hexdigest()


def numbered_files(place: Path, name: str) -> list[Path]:
    """List the pictures of a folder, or the files of a pattern, by number.

    Args:
        place: a folder, or a pattern such as `frame_%04d.png`.
        name: the argument's name in errors.

    Raises:
        ImageError: there are none.
    """
    if place.is_dir():
        return sorted(image_files(place, name), key=_frame_number)
    return _matching(place, name)


def _matching(pattern: Path, name: str) -> list[Path]:
    """List the files of a pattern, by number."""
    before, after = PATTERN.split(pattern.name)[::2]
    wanted = re.compile(re.escape(before) + r"\d+" + re.escape(after))
    folder = pattern.parent
    names = (
        [path for path in folder.iterdir() if wanted.fullmatch(path.name)]
        if (folder.is_dir())
        else []
    )
    if not names:
        raise ImageFileError(
            name, "be a pattern of files that exist", str(pattern), "; correct the name"
        )
    return sorted(names, key=_frame_number)


def _frame_number(path: Path) -> tuple[int, str]:
    number = _NUMBER.search(path.stem)
    return (int(number[1]) if number else -1, path.name)


def _open_video(path: Path, rate: float | str) -> Clip:
    """Decode a video once: its size, its frames, when each is shown."""
    shape, count, times, header = None, 0, _Times(), {}
    for array in _decode(path, header=header, times=times):
        shape = shape or array.shape[:2]
        count += 1
    if not count:
        why = "it is empty" if path.stat().st_size == 0 else "no picture in it can be decoded"
        raise ImageFileError(
            "clip", "be a film", str(path), f": {why}; choose a video, or a folder of frames"
        )
    claimed, notes = header["frames"], []
    if broken := header.get("broken", 0):
        notes.append(f"{broken:,} of its frames cannot be decoded and are left out")
    if claimed > count + broken + 1:
        notes.append(f"{count:,} frames can be read, where its header claims {claimed:,.0f}")
    seconds = times.rate(header["rate"]) if rate == "auto" else _fraction(float(rate))
    if rate == "auto" and not times.plausible:
        notes.append(
            f"its frames claim to last {times.mean:.3g} s each; the film has {float(seconds):.4g} "
            "a second"
        )
    elif rate == "auto" and times.uneven:
        notes.append(
            f"its frames last unequally long; the film has {float(seconds):.4g} a second throughout"
        )
    size = (shape[1], shape[0])
    sound = _names_sound(path)
    return Clip(path, size, count, seconds, file_sha256(path), (), sound, tuple(notes))


class _Times:
    """When the frames of a video are shown, in running sums: films may be long."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.latest = 0.0
        self.shortest, self.longest = float("inf"), 0.0

    def add(self, seconds: float) -> None:
        """Take in the time of the next frame."""
        if self.count:
            step = seconds - self.latest
            self.shortest, self.longest = min(self.shortest, step), max(self.longest, step)
        else:
            self.first = seconds
        self.latest = seconds
        self.count += 1

    @property
    def mean(self) -> float:
        """Seconds that a frame lasts on average; 0 if the file does not say."""
        return (self.latest - self.first) / max(1, self.count - 1)

    @property
    def plausible(self) -> bool:
        """Whether frames last as long as those of a film do; True if the file does not say."""
        return self.mean <= 0 or 1 / _MAX_RATE <= self.mean <= 1 / _MIN_RATE

    @property
    def uneven(self) -> bool:
        """Return whether frames last unequally long."""
        return self.mean > 0 and self.longest - self.shortest > _UNEVEN * self.mean

    def rate(self, header: float) -> Fraction:
        """Return the frames a second: the header's where the times bear it out, or say nothing."""
        sound = _MIN_RATE <= header <= _MAX_RATE
        if self.mean <= 0 or not self.plausible:
            return _fraction(header) if sound else Fraction(_RATE)
        if sound and abs(header * self.mean - 1) < 0.01:
            return _fraction(header)
        return _fraction(1 / self.mean)


def _fraction(rate: float) -> Fraction:
    """Return a frame rate as the exact one that it rounds: 29.97 is 30000/1001."""
    ntsc = Fraction(round(rate * 1.001) * 1000, 1001)
    if abs(float(ntsc) - rate) < 0.005 and abs(rate - round(rate)) > 0.005:
        return ntsc
    return Fraction(rate).limit_denominator(_MAX_DENOMINATOR)


def _decode(
    path: Path,
    start: int = 0,
    stop: int | None = None,
    *,
    header: dict[str, Any] | None = None,
    times: _Times | None = None,
) -> Iterator[np.ndarray]:
    """Yield the frames of a video, (H, W, 3) uint8 in RGB order; nothing if it is none.

    Frames that cannot be decoded are passed over, and do not count.
    """
    with open_capture(path) as (cv2, capture):
        if not capture.isOpened():
            return
        if header is not None:
            header["rate"] = capture.get(cv2.CAP_PROP_FPS)
            header["frames"] = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        shape = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        aspect = shape[0] / shape[1] if min(shape) > 0 else 1.0
        number = failed = 0
        while (stop is None or number < stop) and failed < _MAX_BROKEN:
            decoded, array = capture.read()
            if not decoded:
                failed += 1
                continue
            if header is not None and failed:
                header["broken"] = header.get("broken", 0) + failed
            number, failed = number + 1, 0
            if number <= start:
                continue
            if times is not None:
                times.add(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            yield _square(cv2, array, aspect)


def _square(cv2: Any, array: np.ndarray, aspect: float) -> np.ndarray:
    """Return a frame in RGB with square pixels."""
    height, width = array.shape[:2]
    if abs(aspect - 1) > 0.01 and 0.1 < aspect < 10:
        wide = (max(_MIN_SIDE, round(width * aspect)), height)
        array = cv2.resize(array, wide, interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(array, cv2.COLOR_BGR2RGB)


def _to_tensor(array: np.ndarray) -> torch.Tensor:
    """Return (H, W, 3) uint8 as (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(array).permute(2, 0, 1).contiguous().float().div_(255)


def _names_sound(path: Path) -> bool:
    """Return whether a file names a track of sound."""
    with open(path, "rb") as file:
        ends = file.read(_SEARCHED)
        size = file.seek(0, 2)
        file.seek(max(len(ends), size - _SEARCHED))
        return bool(_SOUND.search(ends) or _SOUND.search(file.read()))
