"""Write film: MP4 and WebM, by the user's own ffmpeg where it is there, else by OpenCV."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImageError, quote
from impasto.images.opencv import load_opencv, open_capture, silent_opencv

ENDINGS = (".mp4", ".webm")
# By OpenCV, the best first: what its FFmpeg was built with differs.
_CODECS = {".mp4": ("avc1", "vp09", "mp4v"), ".webm": ("VP90", "VP80")}
_NAMES = {"avc1": "H.264", "vp09": "VP9", "VP90": "VP9", "VP80": "VP8", "mp4v": "MPEG-4"}
# By ffmpeg: 8 bits, colors as BT.709 and said so, and the same bytes whatever the threads.
_COLORS = (
    "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
    "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709",
    "-color_trc", "bt709", "-color_range", "tv",
)  # fmt: skip
_ENCODERS = {
    ".mp4": ("-c:v", "libx264", "-crf", "16", "-preset", "medium"),
    ".webm": ("-c:v", "libvpx-vp9", "-crf", "20", "-b:v", "0"),
}
_MUXING = {".mp4": ("-movflags", "+faststart"), ".webm": ()}
_EXACT = ("-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact")
_SAME_SOUND = {".mp4": (".mp4", ".m4v", ".mov"), ".webm": (".webm", ".mkv")}
_SOUND_CODECS = {".mp4": "aac", ".webm": "libopus"}  # where the sound cannot be copied

# In a WebM: where its pictures begin, and the elements TrackUID and TagTrackUID before them.
_WEBM_HEAD, _CLUSTER = 1 << 16, b"\x1f\x43\xb6\x75"
_TRACK_NUMBER = re.compile(rb"[\x73\x63]\xc5\x88(.{8})", re.DOTALL)
# OpenCV's encoders round light and colors down, which makes a gray card darker and greener; this
# much more red, green and blue makes up for it on average. Measured (docs/log.md).
_ROUNDED_DOWN = np.array([2, 1, 2], np.uint8)


class Sound(NamedTuple):
    """Where a film's sound is, and which part of it.

    Attributes:
        path: the file.
        start: seconds at which it begins.
        seconds: how long it is.
    """

    path: Path
    start: float
    seconds: float


class Written(NamedTuple):
    """What was written.

    Attributes:
        codec: its name.
        size: (width, height).
        notes: what was left out or changed, each a sentence.
    """

    codec: str
    size: tuple[int, int]
    notes: tuple[str, ...]


def find_ffmpeg() -> str | None:
    """Return the user's own ffmpeg; None if there is none."""
    return shutil.which("ffmpeg")


def film_versions() -> dict[str, str | None]:
    """Return the versions of what a film's bytes depend on besides: OpenCV's and ffmpeg's."""
    versions = {"opencv": load_opencv().__version__, "ffmpeg": None}
    if ffmpeg := find_ffmpeg():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                [ffmpeg, "-version"], capture_output=True, timeout=10, check=False
            )
            first = done.stdout.decode(errors="replace").partition("\n")[0]
            versions["ffmpeg"] = " ".join(first.split()[2:3]) or "unknown"
    return versions


def check_film_ending(path: str | Path) -> None:
    """Refuse a film of a format that is not written.

    Example:
        >>> check_film_ending("out.avi")
        Traceback (most recent call last):
        ValueError: `output` must end in .mp4 or .webm, or be a folder ... got 'out.avi'; rename it
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise ValueError(
            f"`output` must end in {' or '.join(ENDINGS)}, or be a folder or a pattern such as "
            f"frame_%04d.png, got {quote(str(path))}; rename it"
        )


def write_film(
    frames: Callable[[], Iterable[Tensor]],
    count: int,
    target: Path,
    rate: Fraction,
    sound: Sound | None = None,
) -> Written:
    """Encode a film into a file, and decode it to see that it is whole.

    Args:
        frames: gives the frames, (3, H, W) in [0, 1], each time it is called.
        count: how many they are.
        target: the file, in a folder of the caller's own; one that exists is replaced.
        rate: frames a second.
        sound: the sound that goes with it.

    Raises:
        ImageError: no encoder makes such a film here.
    """
    ffmpeg = find_ffmpeg()
    notes = []
    if ffmpeg:
        try:
            size = _encode_by_ffmpeg(ffmpeg, frames(), target, rate)
            _check_whole(target, count)
        except (ImageError, OSError) as error:
            notes.append(f"ffmpeg could not encode the film, so OpenCV does ({error})")
        else:
            codec = "H.264" if target.suffix.lower() == ".mp4" else "VP9"
            notes += _odd_note(next(iter(frames())), size)
            notes += _add_sound(ffmpeg, target, sound) if sound else []
            return Written(codec, size, tuple(notes))
    codec, size = _encode_by_opencv(frames, target, rate)
    _check_whole(target, count)
    notes += _odd_note(next(iter(frames())), size)
    if sound:
        notes.append("the sound is left out; with `ffmpeg` installed it is kept")
    return Written(codec, size, tuple(notes))


def _odd_note(frame: Tensor, size: tuple[int, int]) -> list[str]:
    height, width = frame.shape[1:]
    if (width, height) == size:
        return []
    return [
        f"the film is {size[0]} × {size[1]} pixels, since encoders need even sides; of the "
        f"{width} × {height} the last row or column is left out"
    ]


def _even_samples(frame: Tensor) -> np.ndarray:
    """Return a frame as (H, W, 3) uint8 with even sides."""
    height, width = (side - side % 2 for side in frame.shape[1:])
    samples = (frame[:, :height, :width] * 255 + 0.5).to(torch.uint8)
    return np.ascontiguousarray(samples.permute(1, 2, 0).numpy())


def _encode_by_ffmpeg(
    ffmpeg: str, frames: Iterable[Tensor], target: Path, rate: Fraction
) -> tuple[int, int]:
    """Pipe the frames through ffmpeg; return (width, height)."""
    samples = map(_even_samples, frames)
    first = next(samples)
    height, width = first.shape[:2]
    ending = target.suffix.lower()
    command = [
        ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", str(rate), "-i", "pipe:0",
        *_COLORS, *_ENCODERS[ending], *_MUXING[ending], *_EXACT, str(target),
    ]  # fmt: skip
    with _piped(command) as pipe:
        pipe.write(first.data)
        for each in samples:
            pipe.write(each.data)
    return width, height


@contextlib.contextmanager
def _piped(command: list[str]) -> Iterator[IO[bytes]]:
    """Run a program that is fed through its stdin; what it complains of becomes an error."""
    with tempfile.TemporaryFile() as complaints:
        # In a session of its own, so that Ctrl-C reaches only impasto.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(BrokenPipeError):  # it says why
                yield process.stdin
                process.stdin.close()
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):  # what it did not read any more
                process.stdin.close()
        complaints.seek(0)
        words = complaints.read(2000).decode(errors="replace").strip()
    if code:
        raise ImageError(f"ffmpeg: {words or f'exit code {code}'}")


def _add_sound(ffmpeg: str, target: Path, sound: Sound) -> list[str]:
    """Put the sound beside the pictures, copied where the format takes it."""
    mixed = target.with_name(f"sound{target.suffix}")
    codec = _SOUND_CODECS[target.suffix.lower()]
    kept = sound.path.suffix.lower() in _SAME_SOUND[target.suffix.lower()]
    for way in ("copy", codec) if kept else (codec,):
        command = [
            ffmpeg, "-y", "-loglevel", "error", "-i", str(target),
            "-ss", f"{sound.start:.6f}", "-t", f"{sound.seconds:.6f}", "-i", str(sound.path),
            "-map", "0:v", "-map", "1:a?", "-c:v", "copy", "-c:a", way,
            *_MUXING[target.suffix.lower()],
            *_EXACT, str(mixed),
        ]  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True,
            check=False,
        )  # fmt: skip
        if done.returncode == 0:
            mixed.replace(target)
            return [] if way == "copy" else [f"the sound is encoded anew, by {codec}"]
    mixed.unlink(missing_ok=True)
    return ["the sound is left out: ffmpeg cannot read or keep it"]


def _encode_by_opencv(
    frames: Callable[[], Iterable[Tensor]], target: Path, rate: Fraction
) -> tuple[str, tuple[int, int]]:
    """Encode by the first codec that OpenCV has; return its name and (width, height)."""
    first = _even_samples(next(iter(frames())))
    height, width = first.shape[:2]
    codecs = _CODECS[target.suffix.lower()]
    with silent_opencv() as cv2:
        for codec in codecs:
            code = cv2.VideoWriter_fourcc(*codec)
            writer = cv2.VideoWriter(
                str(target), cv2.CAP_FFMPEG, code, float(rate), (width, height)
            )
            if not writer.isOpened():
                continue
            try:
                for samples in map(_even_samples, frames()):
                    raised = np.minimum(samples, 255 - _ROUNDED_DOWN) + _ROUNDED_DOWN
                    writer.write(cv2.cvtColor(raised, cv2.COLOR_RGB2BGR))
            finally:
                writer.release()
            if target.suffix.lower() == ".webm":
                _settle_track_number(target)
            return _NAMES[codec], (width, height)
    names = ", ".join(dict.fromkeys(_NAMES[codec] for codec in codecs))
    raise ImageError(
        f"`output` must be a film that can be encoded here, got {target.name} and no encoder for "
        f"{names}; install ffmpeg, or write frames: -o frames/%04d.png"
    )


def _settle_track_number(target: Path) -> None:
    """Replace the random number by which a WebM calls its track, so that reruns are the same."""
    with open(target, "r+b") as file:
        head = file.read(_WEBM_HEAD).partition(_CLUSTER)[0]
        for match in _TRACK_NUMBER.finditer(head):
            file.seek(match.start(1))
            file.write((1).to_bytes(8, "big"))


def _check_whole(target: Path, count: int) -> None:
    """Decode a film and count its frames."""
    decoded = 0
    with open_capture(target) as (_, capture):
        while capture.grab():
            decoded += 1
    if decoded != count:
        raise ImageError(
            f"`output` must hold {count} frames when it is read again, got {decoded}; make room "
            "on the disk, or write frames: -o frames/%04d.png"
        )
