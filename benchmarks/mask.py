"""The page's mask tool in a real browser, at 24 megapixels: what a move of the brush costs.

python benchmarks/mask.py [--size 6000x4000] [--moves 120] [--browser /usr/bin/chromium]

A move is counted from the pointer's event to the end of the drawing that follows: the handlers, the
frame, and one pixel read back from both canvases, which makes the browser finish what it put off.
Brushes of 8 % (as the tool opens) and 25 % (its largest) of the longer side cross the picture and
themselves, with the whole picture in view and at 100 %; then a pan at 100 %. After that, once each:
undo, a fill by color, softened edges, and the mask as a PNG until the dialog has closed.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

TOKEN = "a-token-for-the-benchmark"
TIMED = """
  window.moves = [];
  let handlers = 0;
  const listen = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (name, listener, ...how) {
    if (name !== "pointermove") return listen.call(this, name, listener, ...how);
    return listen.call(this, name, function (event) {
      const began = performance.now();
      listener.call(this, event);
      handlers += performance.now() - began;
    }, ...how);
  };
  const ask = window.requestAnimationFrame;
  window.requestAnimationFrame = (draw) => ask((now) => {
    const began = performance.now();
    draw(now);
    for (const id of ["mask-picture", "mask-canvas"]) {
      const canvas = document.getElementById(id);
      if (canvas?.width > 1) canvas.getContext("2d").getImageData(0, 0, 1, 1);
    }
    if (handlers) window.moves.push(handlers + performance.now() - began);
    handlers = 0;
  });
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="6000x4000")
    parser.add_argument("--moves", type=int, default=120)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        words = ["serve", "--no-browser", "--port", "0", "--token", TOKEN, "--folder", folder]
        process = subprocess.Popen(
            [sys.executable, "-m", "impasto", *words], stdout=subprocess.PIPE, text=True
        )
        try:
            address = process.stdout.readline().strip()
            report = measure(address, photograph(width, height), arguments)
        finally:
            process.terminate()
            process.wait()
    print(json.dumps({"pixels": width * height} | report))


def photograph(width: int, height: int) -> bytes:
    """A JPEG of soft areas of color with noise."""
    generator = np.random.default_rng(0)
    areas = Image.fromarray(generator.integers(0, 256, (8, 12, 3), dtype=np.uint8))
    pixels = np.asarray(areas.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    noise = generator.integers(-8, 9, (height, width, 1), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(address: str, picture: bytes, arguments: argparse.Namespace) -> dict:
    """Open the tool, paint, and say what each took in milliseconds."""
    from playwright.sync_api import sync_playwright

    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    report = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=arguments.browser, args=quiet)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(TIMED)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": picture}
        page.set_input_files("#content-input", file)
        page.wait_for_selector("#mask-protect")
        report["open"] = timed(page, "#mask-protect", "document.querySelector('#mask-dialog').open")
        page.wait_for_timeout(500)
        largest = page.get_attribute("#mask-size", "max")
        for zoom in ("fit", "100"):
            page.click(f"#mask-zoom-{zoom}")
            for brush, size in (("usual", page.input_value("#mask-size")), ("largest", largest)):
                page.fill("#mask-size", size)
                report[f"{brush}_brush_{zoom}"] = stroke(page, arguments.moves)
            page.fill("#mask-size", str(round(int(largest) * 0.08 / 0.25)))
        page.keyboard.down("Space")
        report["pan_100"] = stroke(page, arguments.moves)
        page.keyboard.up("Space")
        page.click("#mask-zoom-fit")
        report["undo"] = timed(page, "#mask-undo", "true")
        page.click("#mask-fill")
        report["fill"] = timed(page, "#mask-canvas", "true")
        report["soften"] = timed(page, "#mask-apply-feather", "true")
        report["use"] = timed(page, "#mask-done", "!document.querySelector('#mask-dialog').open")
        browser.close()
    for name, figure in report.items():
        print(name, figure)
    return report


def stroke(page: object, moves: int) -> dict:
    """Milliseconds of the moves of one stroke that crosses itself."""
    box = page.locator("#mask-canvas").bounding_box()
    turns = np.linspace(0, 4 * np.pi, moves)
    places = [
        (box["x"] + box["width"] * (0.5 + 0.3 * np.cos(turn)),
         box["y"] + box["height"] * (0.5 + 0.3 * np.sin(1.7 * turn)))
        for turn in turns
    ]  # fmt: skip
    page.mouse.move(*places[0])
    page.mouse.down()
    page.evaluate("window.moves = []")
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()
    found = page.evaluate("window.moves")
    most = statistics.quantiles(found, n=20)[-1]
    return {
        "moves": len(found),
        "median": round(statistics.median(found), 2),
        "most_of_95_percent": round(most, 2),
        "most": round(max(found), 2),
    }


def timed(page: object, selector: str, until: str) -> float:
    """Milliseconds from a click until a condition holds and the next frame is drawn."""
    return round(
        page.evaluate(
            f"""async ([selector]) => {{
              const frame = () => new Promise((done) => requestAnimationFrame(done));
              const one = document.querySelector(selector);
              const began = performance.now();
              if (selector === "#mask-canvas") {{
                const box = one.getBoundingClientRect();
                const [clientX, clientY] = [box.x + box.width / 2, box.y + box.height / 2];
                const how = {{ clientX, clientY, pointerId: 1, button: 0, bubbles: true }};
                one.setPointerCapture = () => {{}};
                one.dispatchEvent(new PointerEvent("pointerdown", how));
                one.dispatchEvent(new PointerEvent("pointerup", how));
              }} else one.click();
              do await frame(); while (!({until}));
              return performance.now() - began;
            }}""",
            [selector],
        )
    )


if __name__ == "__main__":
    main()
