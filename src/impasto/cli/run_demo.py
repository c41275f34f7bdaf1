"""What the commands `figure` and `demo` do."""

from __future__ import annotations

from collections.abc import Mapping

from impasto.cli.delivery import Delivery
from impasto.cli.files import SaveOptions, read_image
from impasto.cli.options import PIPE
from impasto.cli.progress import combine_watchers, interruptible, show_progress
from impasto.cli.run import INTERRUPTED, report_problems
from impasto.cli.terminal import echo, echo_json
from impasto.demo import demo
from impasto.figures import check_figure, save_figure, triptych


def draw_figure(output: str, sources: Mapping[str, str], overwrite: bool) -> None:
    """Draw content, style and result in one row, and print the path."""
    inputs = tuple(source for source in sources.values() if source != PIPE)
    check_figure(output, overwrite=overwrite, inputs=inputs, name="output")
    row = triptych(*(read_image(source, name) for name, source in sources.items()))
    echo(str(save_figure(row, output, overwrite)))


def paint_demo(output: str, overwrite: bool, as_json: bool, progress: bool | None) -> int:
    """Paint the demo, print its paths, and return the exit code."""
    delivery = Delivery(SaveOptions(output))
    with interruptible() as stop_requested, show_progress(progress) as draw:
        on_step = combine_watchers(stop_requested, draw)
        tell = delivery.tell_rescue
        paths = demo(output, on_step=on_step, overwrite=overwrite, on_rescue=tell)
    code = report_problems(delivery.problems)
    if as_json:
        echo_json({name: str(path) for name, path in paths.items()})
    else:
        for path in paths.values():
            echo(str(path))
    return code or (INTERRUPTED if stop_requested.is_set() else 0)
