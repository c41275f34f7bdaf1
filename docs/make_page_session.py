"""Makes docs/page/*.jpg, the screenshots in docs/page.md: a painter's session with the page.

    python docs/make_page_session.py

Needs Chromium and `pip install 'impasto[web]'`; takes minutes, as it paints.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import Page, sync_playwright

from impasto.serve.app import open_server
from impasto.serve.limits import ServeOptions

PLACE = Path(__file__).parent / "page"
TOKEN = "a-token-for-the-pictures"
SIZE = 384  # pixels of the painting's longer side
PATIENCE = 600_000  # ms that a painting may take


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = open_server(ServeOptions(folder=folder, port=0, token=TOKEN))
        config = uvicorn.Config(server.app, log_config=None, ws="none")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [server.socket]})
        thread.start()
        try:
            with sync_playwright() as play:
                browser = play.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                page = browser.new_page(
                    viewport={"width": 1280, "height": 800}, device_scale_factor=0.75
                )
                page.set_default_timeout(PATIENCE)
                page.goto(server.address)
                page.wait_for_selector("html[data-ready]")
                paint_a_session(page)
                browser.close()
        finally:
            server.app.service.closing = running.should_exit = True
            thread.join()


def paint_a_session(page: Page) -> None:
    """Do what docs/page.md tells, and take a picture of each step."""
    shoot(page, "empty")
    page.click("#try-demo")
    page.wait_for_selector("#go:not([disabled])")
    page.fill("#o-size-n", str(SIZE))
    page.press("#o-size-n", "Tab")
    page.select_option("#o-effort", "quick")
    page.evaluate("document.querySelector('#setup').scrollTo(0, 0)")
    shoot(page, "pictures")
    page.select_option("#sheet-axis", "strength")
    page.click("#sheet-make")
    page.wait_for_selector("#sheet-cells button:last-child img[src]")
    page.wait_for_function("() => !document.querySelector('#queue [data-job]')", timeout=PATIENCE)
    shoot(page, "grid")
    page.click("#sheet-cells button:nth-child(4)")
    page.click("#go")
    page.wait_for_selector("#running:not([hidden])")
    page.wait_for_function("() => document.querySelector('#progress').value > 0.5")
    shoot(page, "painting")
    page.wait_for_selector("#compare:not([hidden])")
    shoot(page, "done")
    first = page.get_attribute("#compare", "data-job")
    page.click("[data-preset=own-colors]")
    page.click("#go")
    page.wait_for_selector(f"#compare:not([hidden]):not([data-job='{first}'])")
    page.click(f".job[data-job='{first}'] [data-word=versus]")
    page.wait_for_selector(f"#compare[data-versus='{first}']")
    shoot(page, "versus")
    page.click("#mask-protect")
    page.wait_for_selector("#mask-dialog[open]")
    box = page.locator("#mask-canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=12)
    page.mouse.up()
    shoot(page, "mask")


def shoot(page: Page, name: str) -> None:
    """Take a picture of the page."""
    page.wait_for_timeout(500)
    page.screenshot(path=PLACE / f"{name}.jpg", type="jpeg", quality=72)
    print(PLACE / f"{name}.jpg")


if __name__ == "__main__":
    main()
