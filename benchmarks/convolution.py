"""VGG-19's convolutions on the CPU: direct, Winograd by matrices, and Winograd by compiled loops.

    python benchmarks/convolution.py [--size 512x384] [--layers conv1_2,conv3_1,…]
        [--formats float32,bfloat16] [--repeats 4]

Random features and weights of each layer's shape, forwards and backwards, each the best of some
repeats; milliseconds of both together, and the relative error against float64. `matrices` is what
runs without numba, in float32 alone; `chosen` is the way that `Convolution` takes. Prints a row per
layer and format; the last line is JSON: seconds in all by format and way, and `ratio`, those of
the faster of `direct` and `matrices`, layer by layer, over those chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.recipes import parse_layer
from impasto.vgg.weights import CONVS
from impasto.vgg.winograd import Convolution, conv3x3, transform_kernel

OFF = "IMPASTO_NO_COMPILED"
WAYS = ("direct", "matrices", "compiled", "chosen")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="512x384")
    parser.add_argument("--layers", default=",".join(CONVS[1:13]), help="all but conv1_1")
    parser.add_argument("--formats", default="float32,bfloat16")
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    report: dict[str, Any] = {"size": arguments.size, "threads": torch.get_num_threads()}
    print(f"{'':18s}" + "".join(f"{way:>18s}" for way in WAYS))
    for name in arguments.formats.split(","):
        seconds = dict.fromkeys(WAYS, 0.0)
        before = 0.0
        for layer in arguments.layers.split(","):
            stride = parse_layer(layer).stride
            rows = measure(
                layer, height // stride, width // stride, getattr(torch, name), arguments.repeats
            )
            print(
                f"{layer:9s}{name:9s}"
                + "".join(
                    f"{1e3 * rows[way][0]:8.1f}  {rows[way][1]:8.1e}" if way in rows else " " * 18
                    for way in WAYS
                ),
                flush=True,
            )
            for way, (taken, _) in rows.items():
                seconds[way] += taken
            before += min(rows[way][0] for way in ("direct", "matrices") if way in rows)
        report[name] = {way: round(value, 4) for way, value in seconds.items() if value}
        report[name]["ratio"] = round(before / seconds["chosen"], 2)
    print(json.dumps(report))


def measure(
    layer: str, height: int, width: int, dtype: torch.dtype, repeats: int
) -> dict[str, tuple[float, float]]:
    """Return seconds forwards and backwards, and the error forwards, of each way."""
    out_channels = parse_layer(layer).channels
    in_channels = parse_layer(CONVS[CONVS.index(layer) - 1]).channels
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(out_channels, in_channels, 3, 3, generator=generator)
    bias = torch.randn(out_channels, generator=generator)
    x, gradient = (
        torch.randn(1, channels, height, width, generator=generator)
        .to(dtype)
        .contiguous(memory_format=torch.channels_last)
        for channels in (in_channels, out_channels)
    )
    part = slice(0, min(height, 32))  # of the rows, for the error
    expected = F.conv2d(
        x[:, :, : part.stop + 1].double(), kernel.double(), bias.double(), padding=1
    )

    direct, rotated = (
        k.to(dtype).contiguous(memory_format=torch.channels_last)
        for k in (kernel, kernel.flip(2, 3).transpose(0, 1))
    )
    transformed, chosen = transform_kernel(kernel), Convolution(kernel, bias, dtype=dtype)
    rounded_bias = bias.to(dtype)

    def winograd_forward() -> Tensor:
        return conv3x3(x, transformed, bias)

    def winograd_backward() -> Tensor:
        return conv3x3(gradient, transformed.transpose(1, 2), None, rotated=True)

    ways: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "direct": (
            lambda: F.conv2d(x, direct, rounded_bias, padding=1),
            lambda: F.conv2d(gradient, rotated, padding=1),
        ),
        "matrices": (winograd_forward, winograd_backward),
        "compiled": (winograd_forward, winograd_backward),
        "chosen": (lambda: chosen(x), lambda: chosen.backward(gradient)),
    }
    if dtype != torch.float32:
        del ways["matrices"], ways["compiled"]
    rows = {}
    for way, (forward, backward) in ways.items():
        if way == "matrices":
            os.environ[OFF] = "1"
        result = forward()[:, :, part].double()
        error = (result - expected[:, :, part]).norm() / expected[:, :, part].norm()
        rows[way] = best(forward, repeats) + best(backward, repeats), error.item()
        os.environ.pop(OFF, None)
    return rows


def best(function: Callable[[], Tensor], repeats: int) -> float:
    """Return the seconds of the fastest of some calls, after one to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


if __name__ == "__main__":
    main()
