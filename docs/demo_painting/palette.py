"""The pigments of each hour of the day that the demo's painter knows."""

from __future__ import annotations

from dataclasses import dataclass

Stops = list[tuple[float, str]]


@dataclass(frozen=True)
class Palette:
    """Hexadecimal sRGB pigments; a pair or row runs from light to dark unless noted."""

    sky: Stops  # from the zenith to the horizon
    breeze: str  # wind catching light high up
    light: str  # the lit edge of things
    deep: str  # shadows and outlines
    glow: str  # the air about the sun
    disk: str  # the sun itself
    far: tuple[str, str]
    ridge: tuple[str, str]
    water: Stops  # from the horizon to the near shore
    bank: tuple[str, str]
    field: Stops  # from far to near
    furrow: str
    path: tuple[str, str]
    leaf: tuple[str, str, str, str]  # shade, body, light, deepest
    wall: tuple[str, str]
    roof: tuple[str, str]
    lamp: str
    bloom: tuple[str, str]
    sail: tuple[str, str]


EMBER = Palette(
    sky=[
        (0.0, "121f5c"),
        (0.3, "20479d"),
        (0.55, "338bb8"),
        (0.75, "84c4b4"),
        (0.88, "f3cc7c"),
        (1.0, "f0913f"),
    ],
    breeze="8fd3d6",
    light="fdeeb9",
    deep="14265f",
    glow="fba92f",
    disk="fff7d6",
    far=("8a78b8", "40529b"),
    ridge=("2c6a90", "17375f"),
    water=[(0.0, "f2b565"), (0.25, "5fb0b5"), (0.6, "236aa3"), (1.0, "173a80")],
    bank=("6d8434", "123f42"),
    field=[(0.0, "fbdc74"), (0.4, "eaa92c"), (0.8, "cf7a22"), (1.0, "a9531f")],
    furrow="5a3f86",
    path=("f6d9a8", "9a7fb0"),
    leaf=("12463f", "2f6b3c", "93a03a", "101f45"),
    wall=("fbe9c2", "b9a3c4"),
    roof=("e2602b", "8a2f35"),
    lamp="ffd95a",
    bloom=("d8321f", "ff7a4a"),
    sail=("ffe9c0", "f08a35"),
)

MOONRISE = Palette(
    sky=[(0.0, "0d1747"), (0.35, "173a86"), (0.65, "1f6aa6"), (0.85, "3f9ea6"), (1.0, "a9cfa0")],
    breeze="6fc0cf",
    light="f4efb6",
    deep="0e1b4d",
    glow="f3d65c",
    disk="fffbe0",
    far=("4d6cb3", "27407f"),
    ridge=("1f5670", "10294f"),
    water=[(0.0, "9cc9a2"), (0.25, "2f86a0"), (0.6, "1c4f92"), (1.0, "122a69")],
    bank=("3f7a55", "0f3040"),
    field=[(0.0, "d9c6ea"), (0.4, "9a7fd2"), (0.8, "6450b0"), (1.0, "39348a")],
    furrow="17405e",
    path=("e6dcb4", "5f6fb0"),
    leaf=("0e3440", "1f5a4c", "7f9a55", "0b1538"),
    wall=("e9e3c8", "7c86bd"),
    roof=("d9702f", "5b2f58"),
    lamp="ffcf45",
    bloom=("f2b54a", "f3e7b0"),
    sail=("fff3cf", "f0a43f"),
)

MORNING = Palette(
    sky=[(0.0, "1f5aa8"), (0.35, "3f97c6"), (0.62, "86cdc6"), (0.82, "f6dfae"), (1.0, "f3a78a")],
    breeze="e4f2e4",
    light="fff3d0",
    deep="27408c",
    glow="ffc65c",
    disk="fffbe6",
    far=("a78fc4", "5f76bb"),
    ridge=("4f8fa0", "2a5a86"),
    water=[(0.0, "f6cfa0"), (0.25, "8fd0c4"), (0.6, "3f97bb"), (1.0, "2560a2")],
    bank=("8fa63f", "1f5f55"),
    field=[(0.0, "f6e48a"), (0.4, "e2bb3f"), (0.8, "c9872f"), (1.0, "9c5a38")],
    furrow="4f6fae",
    path=("fbe3c4", "b08fb4"),
    leaf=("1b5a50", "4a8a46", "b9bf4f", "1f3570"),
    wall=("fff1d6", "c4b0cf"),
    roof=("e8703f", "9a3f4c"),
    lamp="7a4f8f",
    bloom=("e0402f", "ff9a6a"),
    sail=("fff6e0", "e8633a"),
)

PALETTES = (EMBER, MOONRISE, MORNING)
