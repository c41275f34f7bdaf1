"""Clips to test with, small enough for a test: a square that moves before a still background."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch

import impasto
from impasto.images.opencv import silent_opencv
from impasto.images.read import open_image

WIDTH, HEIGHT = 64, 48


def texture(seed, height=HEIGHT, width=WIDTH):
    """A smooth random picture, (H, W, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(30, 226, (height // 6 + 1, width // 6 + 1, 3))
    image = PIL.Image.fromarray(coarse.astype(np.uint8)).resize((width, height), 3)
    return np.asarray(image)


# A film that takes a test no longer than it must.
QUICK_FILM = {
    "size": WIDTH,
    "steps": 4,
    "frame_evaluations": 2,
    "precision": "float32",
    "device": "cpu",
}
STYLE = texture(77, 48, 48)


def tensor(frame):
    """A frame (H, W, 3) uint8 as (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255


def painted(folder):
    """The frames in a folder, by name."""
    return [open_image(path, name="frame").pixels for path in sorted(folder.glob("*.png"))]


def paint_film(folder, frames, options):
    """Paint frames in a folder; return the result, the painted frames and the steps told."""
    write_frames(folder / "in", frames)
    steps = []
    result = impasto.film(folder / "in", STYLE, folder / "out", on_frame=steps.append, **options)
    return result, painted(folder / "out"), steps


def scene(frames, seed=0, step=2, height=HEIGHT, width=WIDTH):
    """Frames (H, W, 3) uint8 of a textured square that moves by `step` pixels."""
    background, square = texture(seed, height, width), texture(seed + 100, 18, 18)
    made = []
    for number in range(frames):
        frame = background.copy()
        left = 4 + step * number
        frame[12:30, left : left + 18] = square[:, : max(0, width - left)]
        made.append(frame)
    return made


def write_video(path, frames, codec="mp4v", rate=10.0):
    """Write frames into a video file."""
    height, width = frames[0].shape[:2]
    with silent_opencv() as cv2:
        code = cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (width, height))
        assert writer.isOpened()
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
    return path


def write_frames(folder, frames, name="frame_{:04d}.png"):
    """Write frames as numbered pictures; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name.format(number) for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        PIL.Image.fromarray(frame).save(path)
    return paths


def write_y4m(path, planes, head="W64 H48 F25:1 Ip A1:1 C420jpeg"):
    """Write frames, each a list of planes Y, Cb, Cr, as uncompressed video."""
    frames = [b"FRAME\n" + b"".join(plane.tobytes() for plane in frame) for frame in planes]
    path.write_bytes(f"YUV4MPEG2 {head}\n".encode() + b"".join(frames))
    return path


def gray_planes(luma, width=WIDTH, height=HEIGHT, bits=8):
    """Planes of a gray frame of 4:2:0 video; `luma` is 16 to 235 in 8 bits."""
    kind = np.dtype("u1") if bits == 8 else np.dtype("<u2")
    sizes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    values = (luma, 128, 128)
    return [
        np.full(size, value << (bits - 8), kind) for size, value in zip(sizes, values, strict=True)
    ]


def boxes(data, start=0, stop=None):
    """Kind, place and size of the boxes of an MP4, and of those in them that tell of durations."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        size = int.from_bytes(data[start : start + 4], "big")
        kind = bytes(data[start + 4 : start + 8])
        yield kind, start, size
        if kind in (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"):
            yield from boxes(data, start + 8, start + size)
        start += size


def set_durations(path, entries):
    """Make an MP4 of OpenCV's say how long its frames last, and that all last ten hours.

    Args:
        path: the file.
        entries: (how many frames, how long each lasts) in the track's time scale.
    """
    data = path.read_bytes()
    table = len(entries).to_bytes(4, "big") + b"".join(
        count.to_bytes(4, "big") + delta.to_bytes(4, "big") for count, delta in entries
    )
    found = list(boxes(data))
    place, old = next((start, size) for kind, start, size in found if kind == b"stts")
    changed = bytearray(data)
    seconds = (36_000_000).to_bytes(4, "big")
    for kind, offset in ((b"mvhd", 24), (b"tkhd", 28), (b"elst", 16)):
        start = next(start for each, start, _ in found if each == kind)
        changed[start + offset : start + offset + 4] = seconds
    stts = (12 + len(table)).to_bytes(4, "big") + b"stts" + bytes(4) + table
    for _, start, size in found:  # those around it
        if start < place and start + size >= place + old:
            changed[start : start + 4] = (size + len(stts) - old).to_bytes(4, "big")
    changed[place : place + old] = stts
    path.write_bytes(changed)
    return path


def turn(path, degrees):
    """Make an MP4 say that it is shown turned, in its track header's matrix."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    one = 1 << 16
    a, b, c, d = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one)}[degrees]
    matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    data[place : place + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in matrix)
    path.write_bytes(data)
    return path
