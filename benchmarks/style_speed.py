"""Time to equal quality: the notebook's recipe against impasto's engine on the same objective.

    python benchmarks/style_speed.py --content FILE --style FILE [--size 512] [--cap bf16=off]
    python benchmarks/style_speed.py --content FILE --style FILE --against default-2026-11

The baseline is written here in a straight line from the notebook's own description: float32, one
scale, a copy of the content image, torch's L-BFGS with the clamp inside, mean squared errors of
features and of Gram matrices, weights 1 and 1e6, on the paper's layers (content conv4_2, style
conv1_1 … conv5_1). Impasto paints under the same losses, layers and weights with its default
engine. Both pictures are judged by the baseline's float32 loss of the clamped picture; each side
runs in a process of its own, the baseline first. Prints a row per side; the last line is JSON.

`--against default-2026-11` compares each effort with what was the default in November 2026, 300
evaluations by all layers (`PREVIOUS`), computed by today's optimizer: its seconds and its loss, and
for each effort seconds, loss and the ratio of seconds. The loss is the default's, in float32 at
full size by all layers, whatever the run itself minimized.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import impasto
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.vgg.weights import load_weights

CONTENT, STYLE = "conv4_2", ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT_WEIGHT, STYLE_WEIGHT = 1.0, 1e6
EVALUATIONS = 300  # of the baseline
PREVIOUS = {"default-2026-11": {"steps": 300, "scales": 0, "composition": 1.0}}
EFFORTS = ("quick", "balanced", "best")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS, help="of the baseline")
    parser.add_argument("--steps", type=int, default=330, help="of ours, over all sizes")
    parser.add_argument("--cap", choices=["bf16=off"], help="measure without bfloat16")
    parser.add_argument("--against", choices=list(PREVIOUS))
    sides = ["baseline", "ours", "previous", *EFFORTS]
    parser.add_argument("--side", choices=sides, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side = {"baseline": baseline, "ours": ours}.get(arguments.side, default)
        print(json.dumps(side(arguments)))
        return
    if arguments.against:
        compare(arguments)
        return
    report = {"size": arguments.size, "content": Path(arguments.content).name}
    report |= {"style": Path(arguments.style).name, "cap": arguments.cap}
    report |= _side("baseline", [])
    print(
        f"notebook   loss {report['baseline_loss']:.4g} after {report['baseline_seconds']:.1f} s, "
        f"{report['baseline_seconds_per_evaluation']:.3f} s an evaluation, "
        f"{report['baseline_peak_rss_mb']:.0f} MB",
        flush=True,
    )
    report |= _side("ours", ["--target", str(report["baseline_loss"])])
    reached = report["seconds_to_baseline_loss"]
    report["ratio"] = round(report["baseline_seconds"] / reached, 2) if reached else None
    print(
        f"impasto    loss {report['loss']:.4g} after {report['seconds']:.1f} s, "
        f"{report['seconds_per_evaluation']:.3f} s an evaluation at full size, "
        f"{report['peak_rss_mb']:.0f} MB, {report['precision']}"
    )
    print(f"to the notebook's loss: {reached} s, {report['ratio']} times as fast")
    print(json.dumps(report))


def compare(arguments: argparse.Namespace) -> None:
    """Compare each effort with an earlier default."""
    names = {"content": Path(arguments.content).name, "style": Path(arguments.style).name}
    report = {"size": arguments.size, **names, "against": arguments.against}
    for side in ("previous", *EFFORTS):
        row = _side(side, [])
        if side == "previous":
            report |= {f"previous_{key}": value for key, value in row.items()}
        else:
            row["ratio"] = round(report["previous_seconds"] / row["seconds"], 2)
            row["loss_ratio"] = round(row["loss"] / report["previous_loss"], 4)
            report[side] = row
        print(f"{side:9s}", *(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    print(json.dumps(report))


def default(arguments: argparse.Namespace) -> dict:
    """One run of the default recipe with an effort, or of an earlier default."""
    previous = arguments.side == "previous"
    options = PREVIOUS[arguments.against] if previous else {"effort": arguments.side}
    pair = arguments.content, arguments.style
    common = {"size": arguments.size, "device": arguments.device}
    if arguments.cap:
        common["precision"] = "float32"
    result = impasto.stylize(*pair, **common, **options)
    peak = _peak()
    judged = impasto.stylize(
        *pair,
        init_image=result.pixels,
        size=arguments.size,
        device=arguments.device,
        precision="float32",
        scales=1,
        steps=1,
    )
    return {
        "seconds": round(result.seconds, 2),
        "loss": judged.losses["total"],
        "content_loss": judged.losses["content"],
        "style_loss": judged.losses["style"],
        "evaluations": result.evaluations,
        "peak_rss_mb": peak,
    }


def baseline(arguments: argparse.Namespace) -> dict:
    """The notebook's run: its final loss, its seconds, its memory."""
    content, judge = _judge(arguments)
    x = content.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x])
    count, start = 0, time.perf_counter()

    def closure() -> Tensor:
        nonlocal count
        with torch.no_grad():
            x.clamp_(0, 1)
        optimizer.zero_grad()
        loss = judge(x)
        loss.backward()
        count += 1
        return loss

    while count < arguments.evaluations:
        optimizer.step(closure)
    with torch.no_grad():
        loss = judge(x.clamp_(0, 1)).item()
    seconds = time.perf_counter() - start
    return {
        "baseline_seconds": round(seconds, 2),
        "baseline_loss": loss,
        "baseline_evaluations": count,
        "baseline_seconds_per_evaluation": round(seconds / count, 4),
        "baseline_peak_rss_mb": _peak(),
    }


def ours(arguments: argparse.Namespace) -> dict:
    """Impasto's run under the same loss: when it reached the target, and where it ended."""
    content, judge = _judge(arguments)
    watch = _Watch(judge, arguments.target, tuple(content.shape[:1:-1]))
    result = impasto.stylize(
        arguments.content,
        arguments.style,
        size=arguments.size,
        content_layers={CONTENT: 1.0},
        style_layers=dict.fromkeys(STYLE, 1.0),
        content_weight=CONTENT_WEIGHT,
        style_weight=STYLE_WEIGHT,
        style_loss="gram-notebook",
        content_loss="mse",
        padding="zeros",
        device=arguments.device,
        precision="float32" if arguments.cap else "auto",
        steps=arguments.steps,
        on_step=watch,
    )
    with torch.no_grad():
        loss = judge(result.pixels[None].to(arguments.chosen_device)).item()
    return {
        "seconds_to_baseline_loss": watch.reached and round(watch.reached, 2),
        "evaluations_to_baseline_loss": watch.evaluations,
        "loss": loss,
        "seconds": round(result.seconds - watch.judging, 2),
        "evaluations": result.evaluations,
        "seconds_per_evaluation": round((watch.latest - watch.finest) / max(watch.count - 1, 1), 4),
        "peak_rss_mb": _peak(),
        "precision": result.precision,
        "device": result.device,
    }


class _Watch:
    """Judges the pictures at full size, and takes the time judging costs off the clock."""

    def __init__(self, judge, target: float, size: tuple[int, int]) -> None:
        self.judge, self.target, self.size = judge, target, size
        self.count = 0
        self.judging = self.latest = self.finest = 0.0
        self.reached = self.evaluations = None

    def __call__(self, step: impasto.Step) -> None:
        self.latest = step.seconds - self.judging
        if step.size != self.size:
            return
        self.count += 1
        self.finest = self.finest or self.latest
        # What the run itself reports may be rounded, so it only says when to look.
        if self.reached is None and step.losses["total"] < 1.05 * self.target:
            begin = time.perf_counter()
            with torch.no_grad():
                loss = self.judge(step.picture()[None].to(self.judge.device)).item()
            if loss <= self.target:
                self.reached, self.evaluations = self.latest, step.evaluation
            self.judging += time.perf_counter() - begin
        if self.reached is not None:
            raise StopIteration


def _judge(arguments: argparse.Namespace):
    """The content image (1, 3, H, W) and the notebook's loss of a picture, in float32."""
    from impasto.device import select_device

    device = arguments.chosen_device = select_device(arguments.device)
    picture, painting = (open_image(p) for p in (arguments.content, arguments.style))
    size = fit_longest_side(picture.size, arguments.size)
    content = resize(composite_rgb(picture), size)[None].to(device)
    scale = min(1.0, (size[0] * size[1] / (painting.size[0] * painting.size[1])) ** 0.5)
    brush = tuple(round(side * scale) for side in painting.size)
    style = resize(composite_rgb(painting), brush)[None].to(device)
    weights = load_weights("oxford")
    mean = weights.mean.to(device).view(3, 1, 1)
    convs = {name: (k.to(device), b.to(device)) for name, (k, b) in weights.convs.items()}

    def features(x: Tensor) -> dict[str, Tensor]:
        x, activations = x - mean, {}
        for name, (kernel, bias) in convs.items():
            if name[6] == "1" and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            activations[name] = x = F.conv2d(x, kernel, bias, padding=1)
            if name == STYLE[-1]:
                return activations
            x = F.relu(x)
        return activations

    def gram(x: Tensor) -> Tensor:
        rows = x.flatten(2)[0]
        return rows @ rows.T / rows.numel()

    with torch.no_grad():
        target = features(content)[CONTENT]
        seen = features(style)
        grams = {layer: gram(seen[layer]) for layer in STYLE}

    def judge(x: Tensor) -> Tensor:
        activations = features(x)
        styles = sum(F.mse_loss(gram(activations[layer]), grams[layer]) for layer in STYLE)
        return CONTENT_WEIGHT * F.mse_loss(activations[CONTENT], target) + STYLE_WEIGHT * styles

    judge.device = device
    return content, judge


def _side(name: str, extra: list[str]) -> dict:
    """Run this script again for one side; what it printed last."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", name, *extra]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _peak() -> float:
    """Most memory this process has held, in MB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (1e6 if sys.platform == "darwin" else 1024), 1)


if __name__ == "__main__":
    main()
