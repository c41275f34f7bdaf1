"""A browser for the tests of the page: fixtures, and what a painter does with it."""

import base64
import io
import json
import re
import shutil
import time
from contextlib import contextmanager

import pytest
from PIL import Image
from stage import TOKEN, picture

CHROMIUM = shutil.which("chromium")
NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def opening(browser, origin):
    """A function that opens the page; at the end nothing may have been complained about."""
    complaints, contexts = [], []
    own = (origin, "blob:", "data:")

    def opened(context=None, **how):
        if context is None:
            context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | how))
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(own) or complaints.append(asked.url))
        page.on("response", lambda got: got.status < 400 or "/v1/" in got.url or
                complaints.append(f"{got.status} {got.url}"))  # fmt: skip
        page.goto(f"{origin}/#token={TOKEN}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    # What the server refuses the page says itself; its own files must all be there.
    assert [one for one in complaints if not one.startswith("Failed to load resource")] == []


def drop(page, where, *files):
    """Drop files on an element, as from the desktop: (name, data)."""
    given = [[name, base64.b64encode(data).decode()] for name, data in files]
    page.evaluate(
        """([where, files]) => {
          const carried = new DataTransfer();
          for (const [name, data] of files) {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const type = name.endsWith(".png") ? "image/png" : "";
            carried.items.add(new File([bytes], name, { type }));
          }
          const how = { dataTransfer: carried, bubbles: true, cancelable: true };
          document.querySelector(where).dispatchEvent(new DragEvent("drop", how));
        }""",
        [where, given],
    )


def option(page, name, number):
    """Type a number into an option's field."""
    word = page.locator(f"#o-{name}-word")
    field = f"#o-{name}-n" if page.locator(f"#o-{name}-n").count() else f"#o-{name}"
    if not page.locator(f"[data-option={name}]").is_visible():
        page.click("#all summary")
    if word.count() and word.is_checked():
        word.uncheck()
    page.fill(field, str(number))
    page.press(field, "Tab")


def begin(page, cat, size=96, steps=8):
    """Start a painting; its id."""
    drop(page, "#content-well", ("cat.png", cat))
    drop(page, "#style-well", ("waves.png", picture(64, 64, 1)))
    option(page, "size", size)
    option(page, "steps", steps)
    with page.expect_response("**/v1/jobs/style") as answered:
        page.click("#go")
    return answered.value.json()["id"]


def ended(page, job):
    """Wait for the comparison of a job."""
    page.wait_for_selector(f"#compare[data-job='{job}']:not([hidden])")


def middle(page, selector="#compare .after"):
    """The color in the middle of a canvas."""
    return page.evaluate(
        """(selector) => {
          const canvas = document.querySelector(selector);
          const pen = canvas.getContext("2d");
          return [...pen.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
        }""",
        selector,
    )


def plain(color, size=(64, 48)):
    """A PNG of one color."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def job(number, status="done", **changes):
    """A job as the server's events have it."""
    result = {
        "width": 64, "height": 48, "seconds": 61.0, "bits": 8, "stack": False,
        "formats": ["png", "jpeg"], "diagnosis": None, "method": None,
    }  # fmt: skip
    content = {
        "role": "content", "name": "cat.png", "sha256": "0", "width": 64, "height": 48,
        "weight": None, "notes": [], "url": "",
    }  # fmt: skip
    return {
        "id": f"{number:016x}", "method": "style", "status": status, "created": 1000 - number,
        "started": 1.0, "ended": 1000.0 - number, "position": None, "title": f"picture {number}",
        "recipe": {"preset": "default", "strength": 0.5}, "reason": None, "inputs": [content],
        "step": None, "history": [], "preview": 0, "result": result if status == "done" else None,
        "retryable": status == "failed", "expires": None,
    } | changes  # fmt: skip


def with_jobs(page, jobs, colors=None, delays=None):
    """Let the server say that it has these jobs; their results are of plain colors."""
    body = f"event: jobs\ndata: {json.dumps({'jobs': jobs})}\n\n"

    def answer(route):
        found = re.search(r"/jobs/([0-9a-f]{16})/(result|inputs|preview)", route.request.url)
        if found is None:
            return route.fulfill(body=body, content_type="text/event-stream")
        number = int(found[1], 16)
        time.sleep((delays or {}).get(number, 0))
        color = "white" if found[2] == "inputs" else (colors or {}).get(number, "gray")
        return route.fulfill(body=plain(color), content_type="image/png")

    page.route(re.compile(r"/v1/(events|jobs/[0-9a-f]{16}/(result|inputs|preview))"), answer)
    page.reload()
    page.wait_for_selector("html[data-ready]")


def pixel(page, selector="#compare .after"):
    """The color in the middle of a canvas."""
    return page.evaluate(
        "selector => { const one = document.querySelector(selector); return [...one.getContext"
        "('2d').getImageData(one.width / 2, one.height / 2, 1, 1).data].slice(0, 3); }",
        selector,
    )
