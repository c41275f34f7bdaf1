"""The mask tool of the page in a real browser: what is painted is what the server gets."""

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from browse import NEEDS_BROWSER
from PIL import Image
from stage import TOKEN, picture

from impasto.images.masks import open_mask
from impasto.serve.service import PAGE

pytestmark = NEEDS_BROWSER
ROOT = Path(__file__).parents[2]
AXE = Path(
    os.environ.get(
        "AXE_CORE",
        ROOT / "tests" / "serve" / "page_lint" / "node_modules" / "axe-core" / "axe.min.js",
    )
)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
ZOOM = "document.querySelector('#mask-zoom-now').textContent"
SIZE = (600, 400)  # of the picture


def halves():
    """A picture whose left half is blue and whose right half is green, with a blue spot in it."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[:, :300] = (40, 60, 200)
    pixels[:, 300:] = (60, 180, 70)
    pixels[180:220, 480:520] = (40, 60, 200)
    return png(pixels)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def opens(browser, origin):
    """Opens the page with a picture and a style; at the end its console may hold no complaint."""
    complaints, contexts = [], []

    def opened(content=None, **how):
        contexts.append(browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | how)))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{origin}/#token={TOKEN}")
        page.wait_for_selector("html[data-ready]")
        give(page, "#content-input", "halves.png", halves() if content is None else content)
        give(page, "#style-input", "waves.png", picture(64, 64, 1))
        page.wait_for_selector("#style-well.full")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [one for one in complaints if not one.startswith("Failed to load resource")] == []


def give(page, field, name, data):
    """Choose a file in a field."""
    page.set_input_files(field, {"name": name, "mimeType": "image/png", "buffer": data})


def tool(page, button="#mask-protect"):
    """Open the mask tool."""
    page.click(button)
    page.wait_for_selector("#mask-dialog[open]")


def place(page, x, y):
    """Where a pixel of the picture is in the window while the whole picture is in view."""
    box = page.locator("#mask-canvas").bounding_box()
    scale = min(box["width"] / SIZE[0], box["height"] / SIZE[1])
    return (
        box["x"] + box["width"] / 2 + (x - SIZE[0] / 2) * scale,
        box["y"] + box["height"] / 2 + (y - SIZE[1] / 2) * scale,
    )


def stroke(page, *pixels, steps=6):
    """Paint a line through pixels of the picture."""
    first, *others = [place(page, *pixel) for pixel in pixels]
    page.mouse.move(*first)
    page.mouse.down()
    for other in others:
        page.mouse.move(*other, steps=steps)
    page.mouse.up()


def brush(page, size=40, hardness=1, opacity=1):
    """Set the brush."""
    page.fill("#mask-size", str(size))
    page.fill("#mask-hardness", str(hardness))
    page.fill("#mask-opacity", str(opacity))


def painted(page):
    """The mask as it can be saved, (H, W) in [0, 255]."""
    with page.expect_download() as download:
        page.click("#mask-save")
    assert download.value.suggested_filename == "halves-mask.png"
    return gray(Path(download.value.path()).read_bytes())


def gray(data):
    """A gray PNG of 8 bits as an array."""
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.asarray(image).astype(int)


def sent(page, role):
    """Start a job; the mask that it got."""
    with page.expect_response("**/v1/jobs/style") as answered:
        page.click("#go")
    job = answered.value.json()
    assert role in [one["role"] for one in job["inputs"]], job
    data = page.evaluate(
        """async ([job, role]) => {
          const headers = { authorization: `Bearer ${localStorage.getItem("impasto-token")}` };
          const answer = await fetch(`/v1/jobs/${job}/inputs/${role}?original=true`, { headers });
          await fetch(`/v1/jobs/${job}/cancel`, { headers, method: "POST" }); // if it is not done
          return [answer.status, [...new Uint8Array(await answer.arrayBuffer())]];
        }""",
        [job["id"], role],
    )
    assert data[0] == 200, data
    return bytes(data[1])


def test_opacity_holds_along_a_stroke_and_a_second_one_adds(opens):
    page = opens()
    tool(page)
    brush(page, size=40, opacity=0.3)
    stroke(page, (100, 100), (300, 100), (100, 100), (300, 100), (200, 60), (200, 140))
    first = painted(page)
    assert first.shape == SIZE[::-1]
    assert first[100, 120:280].min() == first.max() == 77
    assert not first[162:].any()
    stroke(page, (200, 100), (400, 100))
    second = painted(page)
    assert second[100, 380] == 77
    assert abs(second[100, 250] - 255 * (1 - 0.7**2)) <= 1
    page.click("#mask-erase")
    stroke(page, (250, 100), (250, 101))
    assert abs(painted(page)[100, 250] - 255 * (1 - 0.7**2) * 0.7) <= 1


def test_the_brush_is_as_large_as_its_circle_and_as_hard_as_set(opens):
    page = opens()
    tool(page)
    brush(page, size=80, hardness=1)
    x, y = place(page, 200, 200)
    page.mouse.move(x, y)
    page.wait_for_selector("#mask-cursor:not([hidden])")
    circle = page.locator("#mask-cursor").bounding_box()
    left, _ = place(page, 160, 200)
    right, _ = place(page, 240, 200)
    assert circle["width"] == pytest.approx(right - left, abs=1)
    assert circle["x"] == pytest.approx(left, abs=1)
    assert circle["y"] + circle["height"] / 2 == pytest.approx(y, abs=1)
    page.mouse.down()
    page.mouse.up()
    hard = painted(page)
    covered = np.flatnonzero(hard[200] > 127)
    assert (covered[0], covered[-1]) == pytest.approx((160, 239), abs=1)
    assert ((hard[200] > 0) & (hard[200] < 255)).sum() <= 4
    page.click("#mask-undo")
    for _ in range(12):
        page.keyboard.press("{")
    assert page.input_value("#mask-hardness") == "0"
    page.keyboard.press("]")
    assert float(page.input_value("#mask-size")) > 80
    page.keyboard.press("[")
    page.fill("#mask-size", "80")
    stroke(page, (200, 200), (200, 200))
    soft = painted(page)
    assert soft[200, 200] == 255
    assert (np.diff(soft[200, 200:241]) <= 0).all()
    assert 100 < soft[200, 220] < 155


def test_undo_and_redo_by_keys_and_buttons(opens):
    page = opens()
    tool(page)
    brush(page)
    assert page.is_disabled("#mask-undo")
    assert page.is_disabled("#mask-redo")
    masks = [np.zeros(SIZE[::-1], int)]
    for row in (60, 200, 340):
        stroke(page, (100, row), (500, row))
        masks.append(painted(page))
    page.click("#mask-invert")
    masks.append(painted(page))
    assert (masks[4] == 255 - masks[3]).all()
    page.focus("#mask-canvas")
    for expected in (3, 2):
        page.keyboard.press("Control+z")
        assert (painted(page) == masks[expected]).all()
    page.keyboard.press("Control+Shift+Z")
    assert (painted(page) == masks[3]).all()
    page.keyboard.press("Control+y")
    assert (painted(page) == masks[4]).all()
    assert page.is_disabled("#mask-redo")
    for _ in range(4):
        page.click("#mask-undo")
    assert not painted(page).any()
    page.click("#mask-redo")
    assert (painted(page) == masks[1]).all()
    page.click("#mask-clear")  # what was undone cannot be redone after a change
    assert page.is_disabled("#mask-redo")
    assert not painted(page).any()


def test_undo_keeps_so_many_bytes_at_most(opens):
    page = opens()
    counted = page.evaluate(
        """async () => {
          const { MaskPixels } = await import("/page/js/mask_pixels.js");
          const pixels = new MaskPixels(2048, 1536);
          for (let step = 1; step <= 40; step++) {
            pixels.change((levels) => levels.forEach((_, n) => { levels[n] = n * step; }));
          }
          let undone = 0;
          while (pixels.undo()) undone++;
          const after = pixels.bytes;
          while (pixels.redo()) undone--;
          return [pixels.bytes, after, undone, pixels.levels[5]];
        }"""
    )
    assert 0 < counted[0] <= 48 * 2**20
    assert counted[1] <= 48 * 2**20
    assert counted[2:] == [0, 200]


def test_leaving_asks_only_if_there_is_something_to_lose(opens):
    page = opens()
    tool(page)
    page.keyboard.press("Escape")
    page.wait_for_selector("#mask-dialog", state="hidden")
    tool(page)
    brush(page)
    stroke(page, (100, 100), (200, 100))
    for _ in range(3):  # as often as it is asked
        page.keyboard.press("Escape")
        page.wait_for_selector("#mask-leave[open]")
        assert page.evaluate("document.activeElement.id") == "mask-stay"
        page.keyboard.press("Escape")
        page.wait_for_selector("#mask-leave", state="hidden")
        assert page.is_visible("#mask-dialog")
    assert painted(page).any()
    page.click("#mask-cancel")
    page.click("#mask-discard")
    page.wait_for_selector("#mask-dialog", state="hidden")
    assert page.get_attribute("#mask-protect", "aria-pressed") == "false"
    tool(page)  # and nothing of it is left
    assert not painted(page).any()
    stroke(page, (100, 100), (200, 100))
    page.click("#mask-undo")
    page.keyboard.press("Escape")  # all is undone: nothing to lose
    page.wait_for_selector("#mask-dialog", state="hidden")


def test_the_mask_that_is_used_reaches_the_server_and_opens_again(opens):
    page = opens()
    tool(page)
    brush(page, opacity=0.4)
    page.click("#mask-invert")
    page.click("#mask-erase")
    stroke(page, (300, 200), (500, 300))
    mask = painted(page)
    page.click("#mask-done")
    page.wait_for_selector("#mask-protect[aria-pressed=true]")
    tool(page)
    assert page.get_attribute("#mask-erase", "aria-pressed") == "false"
    assert (painted(page) == mask).all()
    page.keyboard.press("Escape")  # unchanged
    page.wait_for_selector("#mask-dialog", state="hidden")
    data = sent(page, "protect")
    assert (gray(data) == mask).all()
    assert (np.round(255 * open_mask(data, "protect").pixels[0].numpy()) == mask).all()
    tool(page)
    page.click("#mask-clear")
    page.click("#mask-done")  # a mask that is black all over is none
    page.wait_for_selector("#mask-protect[aria-pressed=false]")


def test_no_key_reaches_the_page_behind(opens):
    page = opens()
    asked = []
    page.on("request", lambda request: request.method == "POST" and asked.append(request.url))
    tool(page)
    brush(page)
    stroke(page, (100, 100), (200, 100))
    for where in ("#mask-canvas", "#mask-opacity", "#mask-size", "#mask-invert"):
        page.focus(where)
        page.keyboard.press("Control+Enter")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(200)
    assert asked == []
    assert page.is_visible("#mask-dialog")
    dropped = """(data) => {
      const carried = new DataTransfer();
      const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
      carried.items.add(new File([bytes], "mask.png", { type: "image/png" }));
      const how = { dataTransfer: carried, bubbles: true, cancelable: true };
      document.querySelector("#mask-canvas").dispatchEvent(new DragEvent("drop", how));
    }"""
    page.evaluate(dropped, base64.b64encode(png(np.full((40, 60), 90, np.uint8))).decode())
    page.wait_for_timeout(300)
    assert (painted(page) == 90).all()  # it is loaded as a mask
    assert "halves.png" in page.inner_text("#content-well")


def test_fill_takes_similar_colors_connected_or_everywhere(opens):
    page = opens()
    tool(page)
    page.focus("#mask-canvas")
    page.keyboard.press("f")
    assert page.get_attribute("#mask-fill", "aria-pressed") == "true"
    assert page.is_visible("#mask-tolerance")
    assert not page.is_visible("#mask-hardness")
    page.mouse.click(*place(page, 100, 100))
    mask = painted(page)
    assert (mask[:, :300] == 255).all()
    assert not mask[:, 300:].any()
    page.uncheck("#mask-contiguous")  # while the fill is the last change it is done again
    mask = painted(page)
    assert (mask[:, :300] == 255).all()
    assert (mask[180:220, 480:520] == 255).all()
    assert mask.mean() == pytest.approx(255 * (300 * 400 + 40 * 40) / (600 * 400))
    page.fill("#mask-tolerance", "10")
    assert (painted(page) == mask).all()
    page.click("#mask-undo")
    assert not painted(page).any()
    page.check("#mask-contiguous")
    assert not painted(page).any()  # undone is undone
    page.fill("#mask-opacity", "0.5")
    page.mouse.click(*place(page, 500, 200))
    mask = painted(page)
    assert mask.max() == 128
    assert (mask > 0).sum() == 40 * 40
    page.keyboard.press("e")
    page.mouse.click(*place(page, 500, 200))
    assert painted(page)[200, 500] == 64


def test_soft_edges(opens):
    page = opens()
    tool(page)
    page.keyboard.press("f")
    page.mouse.click(*place(page, 100, 100))
    page.fill("#mask-feather", "12")
    page.click("#mask-apply-feather")
    row = painted(page)[200]
    assert row[300 - 40] == 255
    assert row[300 + 40] == 0
    assert row[299] + row[300] == pytest.approx(255, abs=3)
    assert (np.diff(row) <= 0).all()
    steps = -np.diff(row)
    spread = np.sqrt((steps * (np.arange(599) - 299) ** 2).sum() / steps.sum())
    assert spread == pytest.approx(12, rel=0.1)


def test_a_mask_is_loaded_from_a_file(opens):
    page = opens()
    tool(page)
    levels = np.random.default_rng(0).integers(0, 256, SIZE[::-1], dtype=np.uint8)
    give(page, "#mask-file", "mine.png", png(levels))
    page.wait_for_selector("#mask-undo:enabled")
    assert (painted(page) == levels).all()
    give(page, "#mask-file", "square.png", png(np.zeros((50, 50), np.uint8)))
    page.wait_for_selector("#mask-said:has-text('square.png has other proportions')")
    give(page, "#mask-file", "broken.png", b"nothing")
    page.wait_for_selector("#mask-said:has-text('broken.png cannot be read')")
    assert (painted(page) == levels).all()
    see_through = np.full((200, 300, 4), 255, np.uint8)
    see_through[:, :150, 3] = 0
    give(page, "#mask-file", "alpha.png", png(see_through))
    page.wait_for_function("() => true")
    mask = painted(page)
    assert not mask[:, :298].any()
    assert (mask[:, 302:] == 255).all()


def test_a_mask_that_the_browser_cannot_read_is_left_as_it_is(opens):
    page = opens()
    page.evaluate(
        """async () => {
          const { editMask } = await import("/page/js/mask_dialog.js");
          const mask = new File(["nothing"], "mine.tif");
          const canvas = new OffscreenCanvas(60, 40);
          canvas.getContext("2d");
          const picture = await canvas.convertToBlob();
          const wanted = { picture, mask, title: "a", hint: "b", others: [{ name: "c", mask }] };
          window.answer = editMask(wanted).then((found) => found === mask);
        }"""
    )
    page.wait_for_selector("#mask-dialog[open]")
    assert page.inner_text("#mask-said").startswith("mine.tif cannot be read")
    assert not page.is_visible("#mask-others")
    page.click("#mask-cancel")
    assert page.evaluate("window.answer")


def test_zoom_and_pan_with_wheel_space_and_keys(opens):
    page = opens()
    tool(page)
    brush(page, size=20)
    whole = page.inner_text("#mask-zoom-now")
    x, y = place(page, 150, 100)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"(then) => {ZOOM} !== then", arg=whole)
    page.mouse.down()  # the pixel under the pointer has stayed
    page.mouse.up()
    mask = painted(page)
    rows, columns = np.nonzero(mask)
    assert (columns.mean(), rows.mean()) == pytest.approx((149.5, 99.5), abs=1)
    assert columns.max() - columns.min() == pytest.approx(19, abs=1)
    page.mouse.move(x, y)
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(x + 80, y + 60, steps=4)
    page.mouse.up()
    page.keyboard.up("Space")
    assert (painted(page) == mask).all()
    page.click("#mask-clear")
    page.mouse.move(x + 80, y + 60)
    page.mouse.down()
    page.mouse.up()
    rows, columns = np.nonzero(painted(page))
    assert (columns.mean(), rows.mean()) == pytest.approx((149.5, 99.5), abs=1)
    page.keyboard.press("0")
    page.wait_for_function(f"(then) => {ZOOM} === then", arg=whole)
    page.click("#mask-zoom-100")
    page.wait_for_function(f"() => {ZOOM} === '100 %'")


def test_space_after_a_click_on_a_button_pans_and_does_not_press_it(opens):
    page = opens()
    tool(page)
    page.click("#mask-erase")
    page.mouse.move(*place(page, 300, 200))
    page.keyboard.press("Space")
    assert page.get_attribute("#mask-erase", "aria-pressed") == "true"
    page.keyboard.press("Tab")  # from here on by keys
    page.keyboard.press("Space")
    assert page.get_attribute("#mask-fill", "aria-pressed") == "true"


def test_the_masks_of_others_are_seen(opens):
    page = opens()
    tool(page, "[data-region='1']")
    page.click("#mask-invert")
    page.click("#mask-done")
    page.wait_for_selector("[data-region='1'][aria-pressed=true]")
    before = """() => {
      const canvas = document.querySelector("#mask-picture");
      const at = [canvas.width / 4, canvas.height / 2, 1, 1].map(Math.round);
      return [...canvas.getContext("2d").getImageData(...at).data];
    }"""
    tool(page)
    assert page.inner_text("#mask-others") == "waves.png"
    page.wait_for_function(f"() => ({before})()[3] === 255")
    tinted = np.array(page.evaluate(before)[:3])
    expected = 0.6 * np.array([40, 60, 200]) + 0.4 * np.array([0x2F, 0x7E, 0xD8])
    assert np.abs(tinted - expected).max() <= 2
    assert not painted(page).any()
    page.keyboard.press("Escape")
    tool(page, "[data-region='1']")
    assert not page.is_visible("#mask-others")


PEN = """([points, how]) => {
  const canvas = document.querySelector("#mask-canvas");
  canvas.setPointerCapture = () => {};
  const base = { pointerId: 7, bubbles: true, button: 0 };
  points.forEach(([clientX, clientY, pressure], n) => {
    const name = ["pointerdown", "pointermove"][Math.min(1, n)];
    canvas.dispatchEvent(new PointerEvent(name, { ...base, ...how, clientX, clientY, pressure }));
  });
  canvas.dispatchEvent(new PointerEvent("pointerup", { ...base, ...how }));
}"""


def test_pen_pressure_sets_size_or_opacity(opens):
    page = opens()
    tool(page)
    brush(page, size=60)
    line = [[*place(page, column, 100), column / 500] for column in range(100, 501, 20)]
    page.evaluate(PEN, [line, {"pointerType": "pen"}])
    even = painted(page)
    assert (even[100, 100:500] == 255).all()
    page.click("#mask-clear")
    page.check("#mask-pressure-size")
    page.evaluate(PEN, [line, {"pointerType": "pen"}])
    heights = (painted(page) > 127).sum(axis=0)
    assert heights[150] == pytest.approx(18, abs=2)
    assert heights[400] == pytest.approx(48, abs=2)
    page.click("#mask-clear")
    page.uncheck("#mask-pressure-size")
    page.check("#mask-pressure-opacity")
    page.evaluate(PEN, [line, {"pointerType": "pen"}])
    row = painted(page)[100]
    assert row[480] > 220
    assert row[110] < 100
    page.click("#mask-clear")
    page.evaluate(PEN, [line, {"pointerType": "mouse"}])  # it has no pressure
    assert painted(page)[100, 110] == 255


def test_one_finger_paints_and_two_zoom(opens):
    page = opens(**PHONE)
    tool(page)
    brush(page, size=30)
    session = page.context.new_cdp_session(page)

    def touch(kind, *fingers):
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", place(page, 150, 200))
    touch("touchMove", place(page, 300, 200))
    touch("touchMove", place(page, 450, 200))
    touch("touchEnd")
    mask = painted(page)
    assert (mask[200, 160:440] == 255).all()
    assert not mask[:150].any()
    whole = page.inner_text("#mask-zoom-now")
    x, y = place(page, 300, 200)
    touch("touchStart", (x - 30, y))
    touch("touchMove", (x - 32, y + 20))  # the first finger has begun a stroke
    touch("touchStart", (x - 32, y + 20), (x + 30, y + 20))
    for step in range(1, 6):
        touch("touchMove", (x - 32 - 15 * step, y + 20), (x + 30 + 15 * step, y + 20))
    touch("touchEnd")
    page.wait_for_function(f"(then) => {ZOOM} !== then", arg=whole)
    percent = [int(text.split()[0]) for text in (whole, page.inner_text("#mask-zoom-now"))]
    assert percent[1] / percent[0] == pytest.approx((62 + 150) / 62, rel=0.1)
    assert (painted(page) == mask).all()  # taken back


def test_by_keys_alone(opens):
    page = opens()
    page.focus("#mask-protect")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mask-dialog[open]")
    assert page.evaluate("document.activeElement.id") == "mask-canvas"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert "Column 3" in page.inner_text("#mask-said")
    mask = painted(page)
    rows, columns = np.nonzero(mask)
    assert rows.mean() == pytest.approx(199.5, abs=1)
    assert 300 < columns.mean() < 320
    places = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        inside = "document.querySelector('#mask-dialog').contains(document.activeElement)"
        assert page.evaluate(f"document.activeElement === document.body || {inside}")
        places.add(page.evaluate("document.activeElement.id"))
    assert {"mask-size", "mask-undo", "mask-done", "mask-canvas", "mask-load"} <= places


def test_a_large_picture_has_a_mask_of_4096_pixels_in_its_proportions(opens):
    page = opens(png(np.full((400, 6000), 90, np.uint8)))
    tool(page)
    page.click("#mask-invert")
    mask = painted(page)
    assert mask.shape == (273, 4096)
    assert (mask == 255).all()
    page.click("#mask-done")
    page.wait_for_selector("#mask-protect[aria-pressed=true]")
    assert gray(sent(page, "protect")).shape == (273, 4096)


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core")
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("how", [{}, PHONE], ids=["wide", "phone"])
def test_accessible(opens, language, scheme, how):
    page = opens(**how, locale=language, color_scheme=scheme, reduced_motion="reduce")
    tool(page, "[data-region='1']")
    page.click("#mask-invert")
    page.click("#mask-done")
    page.wait_for_selector("[data-region='1'][aria-pressed=true]")
    tool(page)
    page.click("#mask-invert")
    page.click(".mask-keys summary")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    violations = """() => axe.run().then((found) =>
      found.violations.map((one) => [one.id, ...one.nodes.map((node) => node.html)]))"""
    assert page.evaluate(violations) == []
    page.click("#mask-fill")
    assert page.evaluate(violations) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('#mask-dialog').scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    page.wait_for_selector("#mask-leave[open]")
    assert page.evaluate(violations) == []


def test_the_texts_of_the_tool_are_in_both_languages():
    def keys(part, path=""):
        for name, one in part.items():
            yield from keys(one, f"{path}{name}.") if isinstance(one, dict) else [f"{path}{name}"]

    english, chinese = (
        json.loads((PAGE / "texts" / f"{name}.json").read_text(encoding="utf-8"))["mask"]
        for name in ("en", "zh")
    )
    assert sorted(keys(english)) == sorted(keys(chinese))
