"""What a painter does with the page all day: tries first, compares, collects, waits elsewhere."""

import re
import time
import zipfile

import pytest
from browse import NEEDS_BROWSER, begin, drop, ended, job, option, pixel, plain, with_jobs
from stage import picture

pytestmark = NEEDS_BROWSER


def drafted(page, size=(600, 400)):
    """Choose a picture and a style."""
    drop(page, "#content-well", ("cat.png", picture(*size)))
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    page.wait_for_selector("#go:not([disabled])")


def test_a_part_is_painted_at_the_final_scale(opens):
    page = opens()
    drafted(page)
    assert page.inner_text("#why").startswith("512 × 341")
    option(page, "size", 1200)
    option(page, "steps", 2)
    assert page.inner_text("#why").startswith("1200 × 800")
    page.wait_for_selector("#part-square:not([hidden])")
    # 320 pixels of the painting are 160 of the picture.
    assert "160 × 160 pixels from column 220, row 120" in page.get_attribute(
        "#part-square", "aria-label"
    )
    with page.expect_response("**/v1/jobs/style") as answered:
        page.click("#part-look")
    first = answered.value.json()
    assert first["recipe"]["size"] == 320
    assert first["recipe"]["style_scale"] == pytest.approx(1200 / 512)
    content = next(one for one in first["inputs"] if one["role"] == "content")
    assert (content["width"], content["height"]) == (160, 160)
    ended(page, first["id"])
    # Another try makes room for itself; the settings are as they were.
    with page.expect_response("**/v1/jobs/style") as answered:
        page.click("#part-draft")
    second = answered.value.json()
    assert (second["recipe"]["size"], second["recipe"]["effort"]) == (256, "quick")
    page.wait_for_selector(f"[data-job='{first['id']}']", state="detached")
    assert page.input_value("#o-size-n") == "1200"
    ended(page, second["id"])


def test_time_and_queue_are_told_before_painting(opens):
    page = opens()
    recipe = {"preset": "default", "effort": "balanced", "steps": "auto"}
    result = job(1)["result"] | {"width": 512, "height": 341, "seconds": 40.0}
    busy = job(2, "running", ended=None)
    with_jobs(page, [job(1, recipe=recipe, result=result), busy])
    page.route("**/v1/plan?*", lambda route: route.fulfill(json={"memory": 3 * 2**29}))
    drafted(page)
    page.wait_for_function("() => document.querySelector('#why').textContent.includes('1.5 GB')")
    said = "512 × 341 · about 0:40 · 1.5 GB of memory · 1 before it"
    assert page.inner_text("#why") == said
    option(page, "size", 1024)
    assert "about 2:40" in page.inner_text("#why")


def test_any_two_results_are_compared(opens):
    page = opens()
    jobs = [job(number) for number in (1, 2, 3)]
    with_jobs(page, jobs, {1: "red", 2: "lime", 3: "blue"})
    first, second, third = (one["id"] for one in jobs)
    page.click(f"[data-job='{first}'] .open")
    ended(page, first)
    assert (pixel(page, "#compare .before"), pixel(page)) == ([255, 255, 255], [255, 0, 0])
    page.click("#zoom-100")
    page.click("#zoom-in")
    zoom = page.inner_text("#zoom-now")
    page.focus("#compare-handle")
    page.keyboard.press("Home")
    page.click(f"[data-job='{second}'] [data-word=versus]")
    page.wait_for_selector(f"#compare[data-versus='{second}']")
    assert (pixel(page, "#compare .before"), pixel(page)) == ([0, 255, 0], [255, 0, 0])
    assert page.inner_text("#compare .left") == "picture 2"
    assert page.inner_text("#zoom-now") == zoom  # the same part, and the same line
    assert page.get_attribute("#compare-handle", "aria-valuenow") == "0"
    page.click("#versus-off")
    page.wait_for_selector("#compare[data-versus='']")
    assert pixel(page, "#compare .before") == [255, 255, 255]
    assert page.get_attribute(f"[data-job='{third}'] [data-word=versus]", "aria-pressed") == "false"


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_the_gallery_is_searched_and_starred(opens, language):
    page = opens(locale=language)
    now = time.time()
    jobs = [
        job(1, title="lake.png × waves.jpg", recipe={"preset": "wash"}, ended=now),
        job(2, title="cat.png × waves.jpg", ended=now),
        job(3, title="cat.png × night.jpg", ended=now - 400 * 86400),
    ]
    with_jobs(page, jobs)
    days = page.locator("#history .day").all_inner_texts()
    assert days[0] == ("Today" if language == "en-US" else "今天")
    assert re.search(r"\d{4}", days[1])
    shown = "() => [...document.querySelectorAll('#history .title')].map((one) => one.textContent)"
    page.fill("#search", "wash" if language == "en-US" else "薄涂")
    assert page.evaluate(shown) == ["lake.png × waves.jpg"]
    page.fill("#search", "CAT night")
    assert page.evaluate(shown) == ["cat.png × night.jpg"]
    page.fill("#search", "")
    page.click(f"[data-job='{jobs[1]['id']}'] .star")
    page.click("#starred")
    assert page.evaluate(shown) == ["cat.png × waves.jpg"]
    page.reload()
    page.wait_for_selector(f"[data-job='{jobs[1]['id']}'] .star[aria-pressed=true]")

    page.focus(f"[data-job='{jobs[0]['id']}'] .open")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f"[data-job='{jobs[1]['id']}'].current")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    page.wait_for_selector(f"[data-job='{jobs[2]['id']}'] .star[aria-pressed=true]")
    page.keyboard.press("Delete")
    page.wait_for_selector(f"[data-job='{jobs[2]['id']}']", state="detached")
    page.click("#toast-undo")
    page.wait_for_selector(f"[data-job='{jobs[2]['id']}']")


def test_a_contact_sheet_sets_what_is_picked(opens):
    page = opens()
    drafted(page, (96, 64))
    option(page, "steps", 2)
    page.select_option("#sheet-axis", "color")
    page.click("#sheet-make")
    page.wait_for_selector("#sheet:not([hidden]) [data-cell]:nth-child(5) img[src]")
    cells = page.evaluate(
        "[...document.querySelectorAll('[data-cell]')].map((one) => one.dataset.cell)"
    )
    labels = page.locator("#sheet-cells button span:first-of-type").all_inner_texts()
    assert labels == ["0", "0.25", "0.5", "0.75", "1"]
    page.click("#sheet-cells button:nth-child(2)")
    page.wait_for_selector("#sheet", state="hidden")
    assert page.evaluate("document.querySelector('#o-color-n').value") == "0.25"
    for id in cells:  # what is not needed any more is deleted
        page.wait_for_function(
            "id => import('/page/js/store.js').then((store) => !store.state.jobs.has(id))", arg=id
        )
    page.click("#undo")
    assert page.evaluate("document.querySelector('#o-color-n').value") == "1"


def test_whoever_waits_elsewhere_is_told(browser, opens, origin):
    context = browser.new_context(permissions=["notifications"])
    page = opens(context)
    page.evaluate(
        """() => {
          globalThis.told = [];
          globalThis.Notification = class {
            static permission = "granted";
            constructor(title, more) { told.push([title, more.body]); }
          };
          Object.defineProperty(document, "hidden", { get: () => true });
        }"""
    )
    id = begin(page, picture(), size=64, steps=100)
    page.wait_for_function("() => /^[1-9]\\d* % · impasto/.test(document.title)")
    page.wait_for_selector(f"#history [data-job='{id}']")
    assert page.evaluate("told") == [["Your picture is done", "cat.png × waves.png"]]
    page.wait_for_function("() => document.title === '✓ impasto'")
    context.close()


def test_an_upload_shows_how_far_it_is(opens):
    page = opens()
    drafted(page)
    page.evaluate(
        """() => {
          globalThis.seen = [];
          const go = document.querySelector("#go");
          new MutationObserver(() => seen.push(go.textContent)).observe(go, { childList: true });
        }"""
    )
    option(page, "size", 32)
    option(page, "steps", 2)
    page.click("#go")
    page.wait_for_selector("#history [data-status=done]")
    page.wait_for_selector("#go:enabled")  # a small job may end before its upload is answered
    seen = page.evaluate("seen")
    assert any(re.fullmatch(r"Uploading · \d+ %", one) for one in seen)
    page.wait_for_function("() => document.querySelector('#go').textContent === 'Paint'")


def test_the_empty_page_invites(opens):
    page = opens()
    with_jobs(page, [])
    assert page.is_visible("#try-demo")
    page.click("#try-demo")
    page.wait_for_selector("#go:not([disabled])")
    assert "cat.jpg" in page.inner_text("#content-well")
    page.keyboard.press("?")
    page.wait_for_selector("#help-dialog[open]")
    page.keyboard.press("Control+Enter")  # behind a dialog nothing begins
    page.wait_for_timeout(200)
    assert page.locator("[data-job]").count() == 0
    page.keyboard.press("Escape")
    page.wait_for_selector("#help-dialog", state="hidden")


def test_results_come_in_one_file(opens, tmp_path):
    page = opens()
    style = job(0)["inputs"][0] | {"role": "style-1", "name": "Die Welle (2).jpg"}
    inputs = [job(0)["inputs"][0], style]
    jobs = [job(number, inputs=inputs, recipe={"preset": "bold"}) for number in (1, 2, 3)]
    with_jobs(page, [*jobs, job(4, "failed")], {1: "red", 2: "lime", 3: "blue"})
    page.click(f"[data-job='{jobs[2]['id']}'] .star")
    for expected in (["red", "lime", "blue"], ["blue"]):
        with page.expect_download() as download:
            page.click("#zip")
        download.value.save_as(tmp_path / "all.zip")
        with zipfile.ZipFile(tmp_path / "all.zip") as file:
            assert file.testzip() is None
            names = [f"cat_Die-Welle-(2)_bold_{n:02}.png" for n in range(1, len(expected) + 1)]
            assert file.namelist() == names
            assert [file.read(name) for name in names] == [plain(color) for color in expected]
        page.click("#starred")


def test_several_pictures_wait_until_the_queue_has_room(opens):
    page = opens()
    asked = []

    def answer(route):
        asked.append(route.request.url)
        if len(asked) == 2:
            return route.fulfill(status=429, headers={"retry-after": "1"}, body="{}")
        return route.fulfill(json=job(len(asked), "queued", position=1, ended=None))

    page.route("**/v1/jobs/style", answer)
    drop(page, "#style-well", ("a.png", picture(40, 40, 1)))
    drop(page, "#content-well", *[(f"c{n}.png", picture(seed=n)) for n in range(3)])
    page.wait_for_selector("#more li:nth-child(2)")
    page.click("#go")
    page.wait_for_selector(f"[data-job='{job(4)['id']}']")
    page.wait_for_selector("#go:not([disabled])")
    assert len(asked) == 4
    assert not page.is_visible("#error")


def test_settings_are_kept_under_a_name_and_as_a_file(opens):
    page = opens()
    drafted(page)
    option(page, "strength", 0.8)
    option(page, "size", 700)
    page.fill("#own-name", "Dusk")
    page.press("#own-name", "Enter")
    page.wait_for_selector("[data-own=Dusk]")
    with page.expect_download() as saved:
        page.click("#recipe-save")
    assert saved.value.suggested_filename == "style.impasto.json"
    recipe = saved.value.path().read_bytes()
    for name in ("strength", "size"):
        page.click(f"[data-option={name}] .reset")
    page.reload()
    page.wait_for_selector("[data-own=Dusk]")
    page.click("[data-own=Dusk]")
    assert page.input_value("#o-strength-n") == "0.8"
    assert page.input_value("#o-size-n") == "700"
    page.click("#own li button:last-child")
    page.wait_for_selector("[data-own=Dusk]", state="detached")
    page.click("#toast-undo")
    page.wait_for_selector("[data-own=Dusk]")
    # Opened, the file sets the same again, and leaves the pictures as they are.
    page.click("[data-option=size] .reset")
    drop(page, "#content-well", ("style.impasto.json", recipe))
    page.wait_for_function("() => document.querySelector('#o-size-n').value === '700'")
    assert page.inner_text("#content-well .name") == "cat.png"
    page.click("#mode-denoise")
    assert page.locator("[data-own]").count() == 0


def test_sizes_are_told_and_set_in_centimeters(opens):
    page = opens()
    drafted(page)
    option(page, "size", 1200)
    assert page.input_value("#print-cm") == "10.2"
    assert page.inner_text(".print .hint") == "10.2 × 6.8 cm on paper"
    page.select_option("#print-dpi", "150")
    page.fill("#print-cm", "30")
    page.press("#print-cm", "Tab")
    assert page.input_value("#o-size-n") == "1772"
    page.reload()
    page.wait_for_selector("#content-well.full")
    assert page.inner_text(".print .hint") == "30.0 × 20.0 cm on paper"
