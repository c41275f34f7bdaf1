"""Faults that the page had, each as a painter would meet it."""

import base64
import io
import re
import struct
import time
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from browse import NEEDS_BROWSER, begin, drop, ended, job, option, pixel, plain, with_jobs
from PIL import Image
from stage import TOKEN, picture

pytestmark = NEEDS_BROWSER
WIDTHS = (1440, 1024, 390)
LANGUAGES = ("en-US", "zh-CN")
AXE = Path(__file__).parent / "page_lint" / "node_modules" / "axe-core" / "axe.min.js"


def on_top(page, selector, across=0.5, down=0.5):
    """Whether a pointer at a place of an element reaches it."""
    return page.evaluate(
        """([selector, across, down]) => {
          const one = document.querySelector(selector);
          const box = one.getBoundingClientRect();
          const at = [box.left + box.width * across, box.top + box.height * down];
          const found = document.elementFromPoint(...at);
          return found !== null && (one === found || one.contains(found));
        }""",
        [selector, across, down],
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_two_styles_have_weights_that_a_mouse_reaches(opens, width, language):
    page = opens(viewport={"width": width, "height": 900}, locale=language)
    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)), ("b.png", picture(40, 40, 2)))
    page.wait_for_selector("#styles li:nth-child(2)")
    slider = page.locator("#styles li:nth-child(1) input[type=range]")
    slider.scroll_into_view_if_needed()
    for across in (0.02, 0.5, 0.98):
        assert on_top(page, "#styles li:nth-child(1) input[type=range]", across)
    box = slider.bounding_box()
    assert box["width"] > 100
    for across, weight in ((0.001, "0.00"), (0.5, "0.50"), (0.999, "1.00")):
        page.mouse.click(box["x"] + across * box["width"], box["y"] + box["height"] / 2)
        assert page.inner_text("#styles li:nth-child(1) output") == weight
    assert page.inner_text("#styles li:nth-child(2) output") == "1.00"


def test_shares_belong_to_their_picture(opens):
    page = opens()
    recipe = {"strength": 1.0, "chroma": "same", "detail": 0.0, "crop": "whole"}
    stack = job(3)["result"] | {"stack": True, "formats": ["tiff"]}
    jobs = [
        job(1, method="denoise", recipe=recipe),
        job(2, method="denoise", recipe=recipe),
        job(3, method="denoise", recipe=recipe, result=stack),
    ]
    with_jobs(page, jobs)
    page.click(f"[data-job='{jobs[0]['id']}'] .open")
    ended(page, jobs[0]["id"])
    page.fill("#clean-strength", "0.2")
    page.click(f"[data-job='{jobs[1]['id']}'] .open")
    ended(page, jobs[1]["id"])
    assert page.input_value("#clean-strength") == "1"
    with page.expect_request(re.compile("format=png")) as asked:
        page.click("#download-png")
    assert "strength=1&chroma=1" in asked.value.url
    page.click(f"[data-job='{jobs[2]['id']}'] .open")
    page.wait_for_selector("#download-tiff:not([hidden])")
    with page.expect_request(re.compile("format=tiff$")):
        page.click("#download-tiff")
    page.click(f"[data-job='{jobs[0]['id']}'] .open")
    ended(page, jobs[0]["id"])
    assert page.input_value("#clean-strength") == "0.2"


def test_several_files_at_once(opens):
    page = opens()
    several = [(f"s{number}.png", picture(40, 40, number)) for number in range(5)]
    drop(page, "#style-well", *several[:3])
    page.wait_for_selector("#styles li:nth-child(3)")
    page.set_input_files("#add-style-input", [
        {"name": name, "mimeType": "image/png", "buffer": data} for name, data in several[3:]
    ])  # fmt: skip
    page.wait_for_selector("#error:has-text('s4.png')")
    assert page.locator("#styles .title").all_inner_texts() == [f"s{n}.png" for n in range(4)]
    assert not page.is_visible("#add-style")

    drop(page, "#content-well", *[(f"c{n}.png", picture(seed=n)) for n in range(3)])
    page.wait_for_selector("#more li:nth-child(2)")
    assert "c0.png" in page.inner_text("#content-well")
    page.click("#more li:nth-child(2) button")
    option(page, "size", 32)
    option(page, "steps", 2)
    page.click("#go")
    page.wait_for_function("() => document.querySelectorAll('[data-job]').length === 2")
    titles = page.locator(".job .title").all_inner_texts()
    assert {one.split(" × ")[0] for one in titles} == {"c0.png", "c1.png"}


def test_an_addition_that_was_cancelled_is_over(opens):
    page = opens()
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    page.wait_for_selector("#add-style:not([hidden])")
    with page.expect_file_chooser():
        page.click("#add-style")  # and nothing is chosen
    drop(page, "#style-well", ("b.png", picture(40, 40, 2)))
    page.wait_for_selector("#styles .title:has-text('b.png')")
    assert page.locator("#styles .title").all_inner_texts() == ["b.png"]


@pytest.mark.parametrize("width", [1440, 1200, 1024, 769, 390])
def test_nothing_covers_a_long_history(opens, width):
    page = opens(viewport={"width": width, "height": 800})
    with_jobs(page, [job(number) for number in range(40)])
    page.wait_for_selector("#history .job:nth-of-type(30)")
    page.click("#history .job .open")
    ended(page, f"{0:016x}")
    for index in (0, 1, 5, 20):
        at = f"#history .job:nth-of-type({index + 2})"  # the first line is a date
        for place in ("center", "start", "end"):
            page.evaluate(
                "([at, block]) => document.querySelector(at).scrollIntoView({ block })", [at, place]
            )
            reached = on_top(page, f"{at} .open")
            inside = page.evaluate(
                """at => {
                  const box = document.querySelector(at).getBoundingClientRect();
                  const head = document.querySelector('.top');
                  const under = getComputedStyle(head).position === 'sticky'
                    ? head.getBoundingClientRect().bottom : 0;
                  return box.top >= under && box.bottom <= innerHeight;
                }""",
                at,
            )
            assert reached or not inside, (index, place)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_start_of_ones_own_does_not_outlive_its_option(opens):
    page = opens()
    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    page.wait_for_selector("#go:not([disabled])")
    page.click("#all summary")
    for way_out in ("#reset-all", "[data-preset=gatys]"):
        page.select_option("#o-init", "picture")
        page.wait_for_selector("#go[disabled]")
        assert "start from" in page.inner_text("#why")
        page.click(way_out)
        page.wait_for_selector("#go:not([disabled])")
        assert "start from" not in page.inner_text("#why")
    assert not page.is_visible(".own")


def test_each_job_shows_its_own_facts_and_picture(opens):
    page = opens()
    jobs = [job(1), job(2, "failed", reason="the run failed"), job(3)]
    colors, delays = {1: "red", 3: "blue"}, {1: 1.0}
    with_jobs(page, jobs, colors, delays)
    first, failed, third = (f"[data-job='{one['id']}'] .open" for one in jobs)
    page.click(third)
    ended(page, jobs[2]["id"])
    assert pixel(page) == [0, 0, 255]
    assert "64 × 48" in page.inner_text("#done-text")
    page.click(failed)
    page.wait_for_selector("#message:has-text('the run failed')")
    assert page.inner_text("#done-text") == ""
    assert not page.is_visible("#compare")
    assert not page.is_visible("#download-png")
    # A slow picture that is not wanted any more is not shown, nor an old one under a new caption.
    page.click(first)
    assert not page.is_visible("#compare")
    page.click(third)
    ended(page, jobs[2]["id"])
    page.wait_for_timeout(1500)
    assert page.get_attribute("#compare", "data-job") == jobs[2]["id"]
    assert pixel(page) == [0, 0, 255]


def test_a_new_job_does_not_show_the_last_preview(opens):
    page = opens()
    busy = [
        job(1, "running", preview=3, ended=None, step=None),
        job(2, "running", preview=0, ended=None, step=None),
    ]
    with_jobs(page, busy)
    page.click(f"[data-job='{busy[0]['id']}'] .open")
    page.wait_for_selector(f"#running:not([hidden]) #preview[data-of='{busy[0]['id']}']")
    page.click(f"[data-job='{busy[1]['id']}'] .open")
    page.wait_for_selector("#message:has-text('Starting')")
    assert not page.is_visible("#running")


def test_no_thumbnail_asks_for_a_whole_input(opens, cat):
    page = opens()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.click("#mode-denoise")
    drop(page, "#content-well", ("night.png", cat))
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.click("#go")
    ended(page, answered.value.json()["id"])
    inputs = [url for url in asked if "/inputs/" in url]
    assert inputs
    assert all("original=true" in url or "longest=128" in url for url in inputs)
    again = len(asked)
    page.click("#mode-style")
    page.click(".job .open")
    page.wait_for_timeout(300)
    assert not [url for url in asked[again:] if "/result" in url or "/inputs/" in url]


def test_six_tabs_live(browser, opens, origin):
    context = browser.new_context()
    pages = [opens(context) for _ in range(6)]
    for page in pages:
        found = page.evaluate(
            """token => Promise.race([
              fetch('/v1/options', { headers: { authorization: `Bearer ${token}` } })
                .then((answer) => answer.status),
              new Promise((done) => setTimeout(done, 5000, 'hangs')),
            ])""",
            TOKEN,
        )
        assert found == 200
    id = begin(pages[0], picture(), size=32, steps=2)
    for page in pages:
        page.wait_for_selector(f"#history [data-job='{id}'][data-status=done]")
    pages[0].close()  # perhaps the one that listens
    pages[1].wait_for_timeout(300)
    id = begin(pages[1], picture(), size=32, steps=2)
    for page in pages[1:]:
        page.wait_for_selector(f"#history [data-job='{id}'][data-status=done]")
    context.close()


def test_all_of_it_survives_a_reload(opens):
    page = opens()
    drop(page, "#content-well", ("cat.png", picture()), ("dog.png", picture(seed=3)))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)), ("b.png", picture(40, 40, 2)))
    page.wait_for_selector("#styles li:nth-child(2)")
    page.fill("#styles li:nth-child(2) input[type=range]", "0.3")
    page.click("[data-preset=bold]")
    option(page, "seed", 7)
    page.click("#mask-protect")
    page.wait_for_selector("#mask-dialog[open]")
    page.focus("#mask-canvas")
    page.keyboard.press("Space")
    page.click("#mask-done")
    page.wait_for_selector("#mask-protect[aria-pressed=true]")
    page.wait_for_timeout(300)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#mask-protect[aria-pressed=true]")
    assert "cat.png" in page.inner_text("#content-well")
    assert page.locator("#more li").count() == 1
    assert page.locator("#styles .title").all_inner_texts() == ["a.png", "b.png"]
    assert page.locator("#styles output").all_inner_texts() == ["1.00", "0.30"]
    assert page.get_attribute("[data-preset=bold]", "aria-checked") == "true"
    assert page.evaluate("document.querySelector('#o-seed').value") == "7"
    assert page.is_enabled("#go")


def test_a_preset_changes_what_it_names_and_all_can_be_undone(opens):
    page = opens()
    option(page, "size", 640)
    option(page, "seed", 9)
    page.fill("#o-strength", "0.1")
    page.click("[data-preset=bold]")
    assert page.input_value("#o-size-n") == "640"
    assert page.input_value("#o-seed") == "9"
    assert page.input_value("#o-strength-n") == "0.85"
    page.click("#reset-all")
    assert page.input_value("#o-size-n") == "512"
    page.click("#undo")
    assert page.input_value("#o-size-n") == "640"
    page.locator("h1").click()
    page.keyboard.press("Control+z")
    assert page.input_value("#o-strength-n") == "0.1"
    assert page.get_attribute("[data-preset=default]", "aria-checked") == "true"
    page.keyboard.press("Control+Shift+z")
    assert page.input_value("#o-strength-n") == "0.85"
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    page.wait_for_selector("#styles li")
    page.click("#styles [aria-label^=Remove]")
    page.wait_for_selector("#styles li", state="detached")
    page.click("#undo")
    page.wait_for_selector("#styles li")


def test_a_deletion_can_be_undone(opens, origin):
    page = opens()
    first, second = begin(page, picture(), 32, 2), begin(page, picture(), 32, 2)
    for id in (first, second):
        page.wait_for_selector(f"#history [data-job='{id}'][data-status=done]")
    page.click(f"[data-job='{first}'] [data-word=delete]")
    page.wait_for_selector(f"[data-job='{first}']", state="detached")
    page.click("#toast-undo")
    page.wait_for_selector(f"[data-job='{first}']")
    page.wait_for_selector("#toast", state="hidden")
    page.click(f"[data-job='{second}'] [data-word=delete]")
    page.wait_for_selector(f"[data-job='{second}']", state="detached")
    page.reload()  # whoever leaves has decided
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector(f"[data-job='{first}']")
    page.wait_for_selector(f"[data-job='{second}']", state="detached")


def png_header(width, height):
    """A PNG that says it has a size, and nothing more."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


BAD = {
    "empty": (b"", "0 bytes", "0 字节"),
    "text": (b"hello there", "neither a picture", "不是支持的图片"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "HEIC"),
    "huge": (png_header(60_000, 60_000), "60000 × 60000", "60000 × 60000"),
    "broken": (b"\x89PNG\r\n\x1a\n broken and more than that", "damaged", "损坏"),
    "tiny": (plain("red", (9, 40)), "9 × 40", "9 × 40"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_used_is_refused_at_once(opens, language, kind):
    data, english, chinese = BAD[kind]
    page = opens(locale=language)
    for well in ("#content-well", "#style-well"):
        drop(page, well, ("good.png", picture()))
        page.wait_for_selector(f"{well}.full")
        drop(page, well, ("photo.jpg", data))
        words = english if language == "en-US" else chinese
        page.wait_for_selector(f"#error:has-text('{words}')")
        assert "photo.jpg" in page.inner_text("#error")
        assert "`" not in page.inner_text("#error")
        assert "good.png" in page.inner_text(well)
        page.click("#error button")


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_are_in_the_readers_words_at_the_field(opens, language):
    page = opens(locale=language)
    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    option(page, "seed", 99999999999)
    page.click("#all summary")  # closed again
    page.click("#go")
    page.wait_for_selector("#error:not([hidden])")
    said = page.inner_text("#error p")
    assert "`" not in said
    assert "/v1/" not in said
    if language == "zh-CN":
        assert said == "“随机种子”不能大于 4294967295，现为 99999999999，请改小。"
    else:
        assert said.startswith("“Seed” must be at most 4294967295")
    assert page.is_visible("#o-seed")  # where all options are, they opened
    assert page.get_attribute("#o-seed", "aria-invalid") is not None
    assert page.inner_text("#o-seed-wrong") == said
    page.fill("#o-seed", "1")
    page.press("#o-seed", "Tab")
    page.wait_for_selector("#error", state="hidden")
    assert page.get_attribute("#o-seed", "aria-invalid") is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ["decoder_failed", "unreadable_model", "missing_library"])
def test_a_refusal_is_told_by_its_code_where_the_file_was_given(opens, language, code):
    page = opens(locale=language)
    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    role, well = ("style-1", "style") if code == "unreadable_model" else ("content", "content")
    problem = {"code": code, "status": 422, "field": role, "detail": f"`{role}` must 1, got 2; 3"}
    page.route("**/v1/jobs/style", lambda route: route.fulfill(status=422, json=problem))
    page.click("#go")
    page.wait_for_selector(f"#{well}-well.wrong")
    said = page.inner_text(f"#{well}-wrong")
    assert said == page.inner_text("#error p")
    words = {
        "decoder_failed": ("Your picture could not be decoded", "原图解码时出错"),
        "unreadable_model": ("“Style 1” must 1, got 2", "风格图 1不是可用的模型"),
        "missing_library": ("The server lacks a library", "服务器缺少所需的组件"),
    }[code][LANGUAGES.index(language)]
    assert said.replace("“Style 1”", "Style 1").startswith(words.replace("“Style 1”", "Style 1"))
    drop(page, f"#{well}-well", ("other.png", picture()))
    page.wait_for_selector(f"#{well}-well:not(.wrong)")


def test_a_change_during_the_upload_starts_no_second_job(opens):
    page = opens()
    posts = []

    def slow(route):
        posts.append(route.request.url)
        time.sleep(1)
        route.continue_()

    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    option(page, "size", 32)
    option(page, "steps", 2)
    page.route("**/v1/jobs/style", slow)
    page.evaluate("document.querySelector('#go').click()")
    page.evaluate(
        """() => {
          const field = document.querySelector('#o-strength');
          field.value = 0.9;
          field.dispatchEvent(new Event('input'));
        }"""
    )
    assert page.is_disabled("#go")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#history [data-status=done]")
    page.wait_for_selector("#go:enabled")  # a small job may end before its upload is answered
    assert len(posts) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_lies_over_paint_on_a_phone(opens, language):
    page = opens(viewport={"width": 390, "height": 640}, locale=language)
    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    page.wait_for_selector("#go:not([disabled])")
    for y in range(0, 1200, 40):
        page.evaluate("y => scrollTo(0, y)", y)
        box = page.locator("#go").bounding_box()
        if box["y"] >= 0 and box["y"] + box["height"] <= 640:
            assert all(on_top(page, "#go", across) for across in (0.1, 0.3, 0.5, 0.9)), y


TIFFS = {
    "gray16-lzw": (np.uint16, {"compression": "lzw", "predictor": True}, 1),
    "rgb8-deflate": (np.uint8, {"compression": "adobe_deflate", "photometric": "rgb"}, 3),
    "rgb16-tiles": (np.uint16, {"tile": (32, 32), "photometric": "rgb"}, 3),
    "float-big": (np.float32, {"bigtiff": True}, 1),
    "packbits": (np.uint8, {"compression": "packbits"}, 1),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_is_shown_and_can_be_masked(opens, kind):
    dtype, how, channels = TIFFS[kind]
    rows, columns = np.mgrid[0:70, 0:90]
    ramp = (columns + rows) / 160
    data = np.stack([ramp, 1 - ramp, ramp**2][:channels], -1).squeeze()
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, data.shape)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    data = ((data + noise).clip(0, 1) * top).astype(dtype)
    file = io.BytesIO()
    tifffile.imwrite(file, data, metadata=None, **how)
    page = opens()
    drop(page, "#content-well", ("scan.tif", file.getvalue()))
    page.wait_for_selector("#content-well .thumb[src]:not([hidden])")
    shown = page.evaluate(
        """async () => {
          const image = document.querySelector('#content-well .thumb');
          await image.decode();
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const pen = canvas.getContext('2d');
          pen.drawImage(image, 0, 0);
          return canvas.toDataURL();
        }"""
    )
    seen = np.array(
        Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))).convert("RGB")
    )
    assert seen.shape[:2] == (70, 90)
    expected = data.astype(float) / top
    if channels == 1:
        expected = np.repeat(expected[..., None], 3, -1)
    if dtype != np.uint8 and channels == 1:
        expected = (expected - expected.min()) / (expected.max() - expected.min())
    assert np.abs(seen - 255 * expected).mean() < 6
    page.click("#mask-protect")
    page.wait_for_selector("#mask-dialog[open]")


def test_a_stack_is_shown_plane_by_plane(opens):
    clean = np.stack([np.full((64, 80), level, np.float32) for level in (0.2, 0.4, 0.8)])
    clean[:, 20:40, 20:40] += 0.5
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, clean.shape).astype(np.float32)
    file = io.BytesIO()
    tifffile.imwrite(file, noisy.astype(np.float32), photometric="minisblack")
    page = opens()
    page.click("#mode-denoise")
    drop(page, "#content-well", ("stack.tif", file.getvalue()))
    page.wait_for_selector("#content-well.full")
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.click("#go")
    ended(page, answered.value.json()["id"])
    assert page.inner_text("#planes output") == "1 / 3"
    shown = []
    for plane in range(3):
        page.fill("#plane", str(plane))
        page.wait_for_selector(f"#planes output:has-text('{plane + 1} / 3')")
        page.wait_for_timeout(300)
        shown.append(pixel(page, "#compare .after"))
    assert page.evaluate("document.querySelector('#compare .after').width") == 80
    assert not page.is_visible("#clean-sliders")


def test_presets_answer_the_arrow_keys(opens):
    page = opens()
    page.focus("[data-preset=default]")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("[data-preset=gentle]", "aria-checked") == "true"
    assert page.evaluate("document.activeElement.dataset.preset") == "gentle"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.dataset.preset") == "gatys"
    assert page.locator("#presets [tabindex='0']").count() == 1


def test_enter_takes_the_token(browser, origin):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{origin}/")
    page.wait_for_selector("#token-dialog[open]")
    page.fill("#token", TOKEN)
    page.press("#token", "Enter")
    page.wait_for_selector("html[data-ready]")
    context.close()


def test_options_of_an_unknown_shape_are_text(opens):
    page = opens()

    def other(route):
        answer = route.fetch()
        choices = answer.json()
        fields = choices["recipes"]["style"]["properties"]
        fields["layers_of"] = {"type": "object", "additionalProperties": {"type": "number"}}
        fields["odd"] = {"oneOf": [{"type": "array"}, {"type": "null"}], "default": None}
        fields["pair"] = {"anyOf": [{"type": "boolean"}, {"type": "array"}], "default": [1, 2]}
        fields["nothing"] = None
        route.fulfill(json=choices)

    page.route("**/v1/options", other)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.click("#all summary")
    assert page.input_value("#o-pair") == "[1,2]"
    page.fill("#o-odd", "[3]")
    page.press("#o-odd", "Tab")
    assert page.inner_text("#changes") == "1"


def test_the_first_load_is_light(opens, browser, origin):
    page = opens()
    page.wait_for_timeout(500)
    sizes = page.evaluate(
        """() => Object.fromEntries([...performance.getEntriesByType('resource'),
          ...performance.getEntriesByType('navigation')]
          .filter((one) => !/v1.(events|jobs)/.test(one.name))
          .map((one) => [one.name.replace(location.origin, ''), one.encodedBodySize]))"""
    )
    assert sum(sizes.values()) <= 350_000, sorted(sizes.items(), key=lambda one: -one[1])[:12]
    assert not [name for name in sizes if re.search(r"/shelf/\w+\.jpg", name)]


@pytest.mark.skipif(not AXE.exists(), reason="needs npm ci in tests/serve/page_lint")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(opens, width, language, theme):
    page = opens(viewport={"width": width, "height": 900}, locale=language, color_scheme=theme)
    page.evaluate(AXE.read_text(encoding="utf-8"))

    def check(view):
        found = page.evaluate(
            """async () => (await axe.run()).violations
              .map((one) => [one.id, ...one.nodes.slice(0, 3).map((node) => node.html)])"""
        )
        assert found == [], view

    check("empty")
    drop(page, "#content-well", ("cat.png", picture()))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)), ("b.png", picture(40, 40, 2)))
    page.wait_for_selector("#styles li:nth-child(2)")
    page.click("#all summary")
    check("drafted")
    page.click("#mode-denoise")
    page.wait_for_selector("#diagnosis:not([hidden])")
    check("denoise")
    page.click("#mode-style")
    for making in ("texture", "model", "painting"):
        page.click(f"[data-making={making}]")
        check(making)
    page.click("#help")
    check("help")
    page.click("#help-close")
    recipe = {"strength": 1.0, "chroma": "same", "detail": 0.0, "crop": "whole"}
    jobs = [job(1), job(2, "failed", reason="why"), job(3, method="denoise", recipe=recipe)]
    with_jobs(page, [*jobs, job(4, "running", ended=None, preview=1)])
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for one in (*jobs, job(4)):
        page.click(f"[data-job='{one['id']}'] .open")
        page.wait_for_timeout(200)
        check(one["title"])


def test_the_tiff_reader_reads_what_lzw_writes_long(opens):
    data = np.random.default_rng(1).integers(0, 4, (300, 400)).astype(np.uint8) * 60
    file = io.BytesIO()
    tifffile.imwrite(file, data, compression="lzw", rowsperstrip=300, metadata=None)
    page = opens()
    drop(page, "#content-well", ("long.tif", file.getvalue()))
    page.wait_for_selector("#content-well .thumb[src]:not([hidden])")
    mean = page.evaluate(
        """async () => {
          const { open } = await import('/page/js/tiff.js');
          const form = document.querySelector('#content-well .thumb');
          return form.naturalWidth;
        }"""
    )
    assert mean == 400


def test_the_steps_of_undo_are_counted_by_the_change(opens):
    page = opens()
    for strength in ("0.6", "0.7", "0.8"):
        page.fill("#o-strength", strength)
    page.click("#undo")
    assert page.input_value("#o-strength-n") == "0.5"
    values = [page.input_value("#o-strength-n")]
    page.click("#redo")
    values.append(page.input_value("#o-strength-n"))
    assert all(one < other for one, other in pairwise(values))


def test_a_job_of_a_method_that_the_page_does_not_start_is_shown(opens):
    page = opens()
    style = job(1)["inputs"][0] | {"role": "style-1"}
    film = job(1)["result"] | {"formats": ["mp4", "jpeg"]}
    jobs = [
        job(1, method="film", result=film, recipe={}),
        job(2, method="texture", inputs=[style], recipe={}),
    ]
    with_jobs(page, jobs, {2: "red"})
    page.click(f"[data-job='{jobs[1]['id']}'] .open")
    ended(page, jobs[1]["id"])
    assert pixel(page) == pixel(page, "#compare .before") == [255, 0, 0]
    assert page.locator(".job [data-word=versus]").count() == 0
    page.click(f"[data-job='{jobs[0]['id']}'] .open")
    page.wait_for_selector("#message:has-text('Done')")
    assert not page.is_visible("#compare")
    with page.expect_request(re.compile("format=mp4$")):
        page.click("#download-more button:has-text('MP4')")
