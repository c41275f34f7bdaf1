"""Contact sheet of the default: every content in every style.

    python benchmarks/contact_sheet.py --contents DIR --styles DIR [--size 256] [-o sheet.png]
        [--option strength=0.3 --option style_loss=gram …]

Prints a row per picture; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import impasto

GAP = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    arguments = parser.parse_args()
    options = dict(option.split("=", 1) for option in arguments.option)
    contents = sorted(path for path in arguments.contents.iterdir() if path.is_file())
    styles = sorted(path for path in arguments.styles.iterdir() if path.is_file())
    rows, results = [], []
    for content in contents:
        row = []
        for style in styles:
            result = impasto.stylize(content, style, size=arguments.size, **options)
            results.append(result)
            row.append(fit_into_frame(result.pixels, arguments.size))
            print(
                f"{content.stem:20s} {style.stem:16s} {result.seconds:6.1f} s   content "
                f"{result.losses['content']:.4f}   style {result.losses['style']:.4f}",
                flush=True,
            )
        rows.append(torch.cat(row, dim=2))
    impasto.save(torch.cat(rows, dim=1), arguments.output, overwrite=True)
    count = len(results)
    print(
        json.dumps(
            {
                "pictures": count,
                "size": arguments.size,
                "seconds_per_picture": round(sum(r.seconds for r in results) / count, 2),
                "content_loss": round(sum(r.losses["content"] for r in results) / count, 4),
                "style_loss": round(sum(r.losses["style"] for r in results) / count, 4),
                "precision": results[0].precision,
                "sheet": str(arguments.output),
            }
        )
    )


def fit_into_frame(pixels: torch.Tensor, width: int) -> torch.Tensor:
    """A picture, (3, h, w), on white of one width, with a gap right and below."""
    cell = torch.ones(3, pixels.shape[1] + GAP, width + GAP)
    cell[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return cell


if __name__ == "__main__":
    main()
