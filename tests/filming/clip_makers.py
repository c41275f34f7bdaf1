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
