"""The training of a painting network: crops of the pictures, the recipe's losses, Adam.

Each step paints one crop and carries the gradient of the recipe's own objective, style statistics
of the whole style against those of the crop, through the network. All crops are seen once an
epoch. When epochs gain nothing any more, or at the latest after a part of the steps, the learning
rate falls to nothing, which is the end.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from impasto.models.network import STRIDE, PaintingNetwork, noise_planes
from impasto.models.painting_losses import FitObjective
from impasto.result import Losses, check_finite
from impasto.style.color import recolor
from impasto.style.statistics import Moments

CROP = 384  # pixels a side that are painted in a step, at most
CROPS = 64  # in an epoch, at least; and at least one of every picture
_WARM_UP = 20  # steps until the learning rate is whole
_ANNEAL = 0.6  # share of the steps after which the learning rate falls at the latest
_LEAST_GAIN = 0.002  # share of the loss that an epoch must gain, or the learning rate falls
_LEAST_RATE = 0.02  # share of the learning rate at the end
_BETAS = (0.9, 0.99)


class Crop(NamedTuple):
    """A part of a picture that is learned from.

    Attributes:
        content: (3, h, w) in [0, 1], both sides multiples of the network's stride.
        recolored: the same in the style's colors.
    """

    content: Tensor
    recolored: Tensor


class Task(NamedTuple):
    """What a network is to learn.

    Attributes:
        objective: what is minimized.
        crops: one epoch.
        learning_rate: before it falls.
        steps: at most.
        seed: of everything random.
    """

    objective: FitObjective
    crops: Sequence[Crop]
    learning_rate: float
    steps: int
    seed: int


def cut_crops(pictures: Sequence[Tensor], colors: Moments, seed: int) -> list[Crop]:
    """Cut the crops of an epoch out of pictures, (3, H, W); every other one is mirrored."""
    chosen = random.Random(seed)
    recolored = [recolor(picture, colors) for picture in pictures]
    crops = []
    for number in range(max(CROPS, len(pictures))):
        index = number % len(pictures)
        height, width = pictures[index].shape[1:]
        tall, wide = (min(CROP, side // STRIDE * STRIDE) for side in (height, width))
        top, left = chosen.randint(0, height - tall), chosen.randint(0, width - wide)
        mirrored = chosen.random() < 0.5
        parts = []
        for source in (pictures[index], recolored[index]):
            part = source[:, top : top + tall, left : left + wide]
            parts.append((part.flip(2) if mirrored else part).contiguous())
        crops.append(Crop(*parts))
    return crops


class Training:
    """The state of a training, which can be saved and resumed at any step.

    Args:
        task: what is learned.
        network: whose weights are changed.
        state: of an interrupted training; empty for a new one.

    Attributes:
        steps: taken so far.
        epochs: the mean loss of each epoch.
        losses: of the last step.
        average: of each loss over the last epoch, or over the steps so far.
        fall: the step from which the learning rate falls; None before.
        end: the step at which the training ends.
        painted: what the last step painted, (3, h, w).
    """

    def __init__(self, task: Task, network: PaintingNetwork, state: dict[str, Any]) -> None:
        self.task = task
        self.network = network
        self.optimizer = torch.optim.Adam(
            network.parameters(), lr=task.learning_rate, betas=_BETAS, foreach=True
        )
        self.steps, self.fall, self.end = 0, None, task.steps
        self.epochs: list[float] = []
        self.epoch: list[dict[str, float]] = []  # losses of the steps of this epoch
        self.average = Losses(total=math.inf)
        self.painted: Tensor | None = None
        if state:
            network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            names = ("steps", "fall", "end", "epochs", "epoch")
            self.steps, self.fall, self.end, self.epochs, self.epoch = (state[n] for n in names)
            self.average = Losses(state["average"])

    @property
    def finished(self) -> bool:
        """Whether nothing is left to learn."""
        return self.steps >= self.end

    def state(self) -> dict[str, Any]:
        """Return everything that a training resumes from."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "fall": self.fall,
            "end": self.end,
            "epochs": self.epochs,
            "epoch": self.epoch,
            "average": dict(self.average),
        }

    def step(self, check_stop: Any) -> Losses:
        """Paint one crop, and learn from it.

        Args:
            check_stop: called at each layer of VGG-19; raising ends the step without a trace.
        """
        task, device = self.task, self.task.objective.vgg.device
        crop = task.crops[self._order()[self.steps % len(task.crops)]]
        height, width = crop.content.shape[1:]
        noise = noise_planes((width, height), hash_seed(task.seed, self.steps))
        x = crop.recolored[None].to(device).contiguous(memory_format=torch.channels_last)
        y = self.network(x, [plane.to(device) for plane in noise])
        objective = task.objective.at(crop.content, check_stop)
        losses, gradient, _ = objective(y.detach()[0])
        check_finite(torch.tensor(losses.total), "the loss", "lower the learning rate")
        y.backward(gradient[None].to(y.dtype))
        clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.param_groups[0]["lr"] = task.learning_rate * self._rate()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.painted = y.detach()[0]
        self._count(losses)
        return losses

    def _order(self) -> list[int]:
        """Return the order of the crops in this epoch."""
        count = len(self.task.crops)
        chosen = random.Random(hash_seed(self.task.seed, self.steps // count))
        return chosen.sample(range(count), count)

    def _rate(self) -> float:
        """Return the share of the learning rate at this step."""
        rate = min(1.0, (self.steps + 1) / _WARM_UP)
        if self.fall is None:
            return rate
        done = (self.steps - self.fall) / max(1, self.end - self.fall)
        return rate * (_LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))

    def _count(self, losses: Losses) -> None:
        """Count a step, and begin the end of the training when it is time."""
        self.steps += 1
        self.epoch.append(dict(losses))
        latest = self.epoch
        self.average = Losses(
            {name: sum(each[name] for each in latest) / len(latest) for name in losses}
        )
        if len(self.epoch) == len(self.task.crops):
            self.epochs.append(self.average.total)
            self.epoch = []
        if self.fall is None and (self._stagnates() or self.steps >= _ANNEAL * self.task.steps):
            self.fall = self.steps
            rest = round(self.steps * (1 / _ANNEAL - 1))
            self.end = min(self.task.steps, self.steps + max(rest, 1))

    def _stagnates(self) -> bool:
        """Return whether the last two epochs together gained less than is worth their time."""
        if self.epoch or len(self.epochs) < 4:
            return False
        before, now = min(self.epochs[:-2]), min(self.epochs[-2:])
        return now > (1 - 2 * _LEAST_GAIN) * before


def hash_seed(seed: int, number: int) -> int:
    """Return a seed for one of many numbered draws.

    Example:
        >>> hash_seed(0, 1) == hash_seed(0, 1), hash_seed(0, 1) == hash_seed(1, 0)
        (True, False)
    """
    return (seed * 1_000_003 + number * 7919 + 12_345) % 2**32
