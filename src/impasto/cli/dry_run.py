"""What `--dry-run` prints: the plan of a run, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from impasto.cli.progress import format_duration

if TYPE_CHECKING:
    from impasto.style.plan import Plan, ScalePlan

_GIB = 2**30


def print_plans(plans: Mapping[str, Plan], as_json: bool) -> None:
    """Print the plans of some runs, one after the other.

    Args:
        plans: what to call each -> its plan; one alone needs no name.
        as_json: one JSON object; of several runs, with theirs by name in it.
    """
    if as_json:
        facts = {name: _facts(plan) for name, plan in plans.items()}
        alone = next(iter(facts.values()))
        click.echo(json.dumps(alone if len(facts) == 1 else {"layers": facts}))
        return
    for name, plan in plans.items():
        if len(plans) > 1:
            click.echo(name)
        for line in _lines(plan):
            click.echo(line)
    click.echo("nothing was written")


def _facts(plan: Plan) -> dict[str, Any]:
    """A plan in plain JSON values; memory in bytes."""
    return {
        "size": list(plan.sizes[-1]),
        "evaluations": sum(rung.evaluations for rung in plan.scales),
        "seconds": _rounded(plan.seconds),
        "memory": plan.memory,
        "free": plan.free,
        "budget": plan.budget,
        "history": plan.history,
        "device": plan.device,
        "precision": plan.precision,
        "scales": [
            {
                "size": list(rung.size),
                "evaluations": rung.evaluations,
                "warmup": rung.warmup,
                "tile": rung.tile,
                "tiles": rung.tiles,
                "memory": rung.memory,
                "seconds": _rounded(rung.seconds),
            }
            for rung in plan.scales
        ],
    }


def _lines(plan: Plan) -> Iterator[str]:
    """A plan as lines of a table."""
    yield f"device     {plan.device}, {plan.precision}"
    yield f"memory     {_gib(plan.free)} free, {_gib(plan.budget)} allowed in all"
    yield f"history    {plan.history}"
    rows = [("scale", "size", "evaluations", "tiles", "memory", "time")]
    rows += [_row(place, rung) for place, rung in enumerate(plan.scales, 1)]
    count = sum(rung.evaluations for rung in plan.scales)
    rows.append(("in all", "", str(count), "", _gib(plan.memory), _time(plan.seconds)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(place: int, rung: ScalePlan) -> tuple[str, ...]:
    """One size as a row of the table."""
    width, height = rung.size
    tiles = "whole" if rung.tile is None else f"{rung.tiles} of {rung.tile}"
    size, memory = f"{width} × {height}", _gib(rung.memory)
    evaluations = f"{rung.evaluations}{', warm-up' * rung.warmup}"
    return str(place), size, evaluations, tiles, memory, _time(rung.seconds)


def _gib(count: int) -> str:
    """Bytes in words."""
    return f"{count / _GIB:.1f} GiB"


def _time(seconds: float | None) -> str:
    """Seconds in words."""
    return "unknown" if seconds is None else format_duration(seconds)


def _rounded(seconds: float | None) -> float | None:
    """Seconds as JSON shows them."""
    return None if seconds is None else round(seconds, 1)
