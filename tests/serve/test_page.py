"""The page in a real browser: what a painter does with it."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from browse import NEEDS_BROWSER, begin, drop, ended, middle, option
from PIL import Image
from stage import TOKEN, picture

import impasto
from impasto.images.resize import resize
from impasto.images.write import encode
from impasto.serve.service import PAGE

pytestmark = NEEDS_BROWSER


def test_paint_watch_stop_compare_and_download(opens, cat, tmp_path):
    page = opens()
    job = begin(page, cat, size=128, steps=5000)
    page.wait_for_selector("#preview[data-number]")
    first = page.get_attribute("#preview", "src")
    page.wait_for_function("(first) => document.querySelector('#preview').src !== first", arg=first)
    page.wait_for_function("() => document.querySelector('#progress').value > 0")
    assert "of 5000" in page.inner_text("#progress-text")
    page.wait_for_selector("#losses[aria-label*=content]")
    names = page.locator("#loss-names span").all_inner_texts()
    assert names == ["content loss", "style loss"]
    page.click("#stop")
    ended(page, job)
    assert page.inner_text("#done-text").startswith("Stopped early · 128 × 85")
    assert page.locator(f"#history [data-job='{job}'][data-status=stopped]").count() == 1

    page.click("#zoom-100")
    assert page.inner_text("#zoom-now") == "100 %"
    page.click("#zoom-fit")
    cut = "getComputedStyle(document.querySelector('#compare .after')).clipPath"
    before = page.evaluate(cut)
    page.focus("#compare-handle")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#compare-handle", "aria-valuenow") == "52"
    assert page.evaluate(cut) != before
    box = page.locator("#compare").bounding_box()
    handle = page.locator("#compare-handle").bounding_box()
    page.mouse.move(handle["x"] + 22, handle["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, handle["y"] + 40, steps=4)
    page.mouse.up()
    assert page.get_attribute("#compare-handle", "aria-valuenow") == "25"

    for button, kind, bits in (("png", "PNG", 8), ("jpeg", "JPEG", 8), ("tiff16", "TIFF", 16)):
        with page.expect_download() as download:
            page.click(f"#download-{button}")
        assert download.value.suggested_filename.startswith("cat-painted.")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        file = impasto.open_image(path)
        assert file.size == (128, 85)
        assert (file.metadata.format, file.metadata.bits) == (kind, bits)
        assert json.loads(file.metadata.recipe)["method"] == "style"


def test_a_reload_finds_the_running_job_again(opens, cat):
    page = opens()
    job = begin(page, cat, size=128, steps=3000)
    page.wait_for_selector("#preview[data-number]")
    page.reload()
    page.wait_for_selector("#preview[data-number]")
    assert page.locator(f"#queue [data-job='{job}'].current").count() == 1
    other = opens()  # another visitor, who has seen nothing yet
    other.wait_for_selector("#preview[data-number]")
    page.click("#cancel")
    page.wait_for_selector(f"#history [data-job='{job}'][data-status=cancelled]")
    other.wait_for_selector(f"#history [data-job='{job}'][data-status=cancelled]")
    page.click(f"[data-job='{job}'] [data-word=delete]")
    other.wait_for_selector(f"[data-job='{job}']", state="detached")


def test_a_painted_mask_protects(opens, cat, tmp_path):
    page = opens()
    drop(page, "#content-well", ("cat.png", cat))
    page.click("#mask-protect")
    page.wait_for_selector("#mask-dialog[open]")
    page.fill("#mask-size", "40")
    page.fill("#mask-hardness", "1")
    box = page.locator("#mask-canvas").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2, steps=9)
    page.mouse.up()
    page.focus("#mask-canvas")  # and with the keys: the brush starts in the middle
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.click("#mask-undo")
    page.click("#mask-done")
    page.wait_for_selector("#mask-protect[aria-pressed=true]")
    job = begin(page, cat)  # the same content again takes its masks away
    ended(page, job)
    page.wait_for_selector("#mask-protect[aria-pressed=false]")

    page.click("#mask-protect")
    page.wait_for_selector("#mask-dialog[open]")
    page.click("#mask-invert")
    page.focus("#mask-canvas")
    page.fill("#mask-size", "60")
    page.click("#mask-erase")
    page.focus("#mask-canvas")
    page.keyboard.press("Space")
    page.click("#mask-done")
    page.wait_for_selector("#mask-protect[aria-pressed=true]")
    with page.expect_response("**/v1/jobs/style") as answered:
        page.click("#go")
    job = answered.value.json()
    assert [one["role"] for one in job["inputs"]] == ["content", "protect", "style-1"]
    ended(page, job["id"])
    with page.expect_download() as download:
        page.click("#download-png")
    download.value.save_as(tmp_path / "out.png")
    painted = impasto.open_image(tmp_path / "out.png").pixels
    kept = resize(impasto.open_image(cat).pixels, (96, 64))
    off = (painted - kept).abs().mean(0)
    assert off[:8, :8].max() < 0.02
    assert off[30:34, 46:50].mean() > 0.05


def test_clean_and_choose_how_much(opens, tmp_path):
    clean = torch.full((3, 64, 96), 0.5)
    noise = 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))
    page = opens()
    page.click("#mode-denoise")
    drop(page, "#content-well", ("night.png", encode((clean + noise).clamp(0, 1), "png")))
    page.wait_for_selector("#diagnosis:has-text('Gaussian')")
    said = page.inner_text("#diagnosis")
    assert re.search(r"Sigma up to 2[4-7]\.\d of 255", said)
    assert "nl-wiener removes it" in said
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.click("#go")
    ended(page, answered.value.json()["id"])
    page.wait_for_selector("#clean-sliders:not([hidden])")
    noisy, whole = middle(page, "#compare .before"), middle(page)
    assert noisy != whole
    page.fill("#clean-strength", "0")
    assert middle(page) == noisy
    page.fill("#clean-strength", "0.5")
    half = middle(page)
    assert np.abs(np.array(half) - (np.array(noisy) + np.array(whole)) / 2).max() <= 1
    with page.expect_download() as download:
        page.click("#download-png")
    assert download.value.suggested_filename == "night-clean.png"
    download.value.save_as(tmp_path / "clean.png")
    file = impasto.open_image(tmp_path / "clean.png")
    recipe = json.loads(file.metadata.recipe)["recipe"]
    assert (recipe["strength"], recipe["chroma"]) == (0.5, 0.5)
    there = (255 * file.pixels[:, 32, 48]).round().tolist()
    assert np.abs(np.array(there) - np.array(half[:3])).max() <= 1


def cloth(height=96, width=128):
    """Threads, no two alike, under noise; a filter takes some of them away."""
    generator = torch.manual_seed(0)
    rough = torch.randn(1, height + 6, width, generator=generator)
    threads = 0.07 * rough.unfold(1, 7, 1).sum(3) / 7**0.5
    noise = 0.08 * torch.randn(3, height, width, generator=generator)
    return (0.5 + threads + noise).clamp(0, 1)


def test_texture_is_given_back_by_a_slider(opens, tmp_path):
    page = opens()
    page.click("#mode-denoise")
    drop(page, "#content-well", ("cloth.png", encode(cloth(), "png")))
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.click("#go")
    ended(page, answered.value.json()["id"])
    page.wait_for_selector("#clean-sliders:not([hidden])")
    assert page.input_value("#clean-detail") == "0"
    plain = canvas(page, "#compare .after")
    with page.expect_response(re.compile("detail=1")):
        page.fill("#clean-detail", "1")
    page.wait_for_function(
        "plain => document.querySelector('#compare .after').toDataURL() !== plain", arg=plain[1]
    )
    textured = canvas(page, "#compare .after")
    with page.expect_download() as download:
        page.click("#download-png")
    download.value.save_as(tmp_path / "clean.png")
    file = impasto.open_image(tmp_path / "clean.png")
    assert json.loads(file.metadata.recipe)["recipe"]["detail"] == 1
    there = (255 * file.pixels.permute(1, 2, 0)).round().numpy()
    assert np.abs(there - textured[0]).max() <= 1
    assert np.abs(there - plain[0]).max() > 2


def canvas(page, where):
    """What a canvas shows, (H, W, 3), and its data URL."""
    url = page.evaluate(f"document.querySelector('{where}').toDataURL()")
    data = base64.b64decode(url.partition(",")[2])
    return np.array(Image.open(io.BytesIO(data)).convert("RGB")).astype(float), url


def test_a_part_is_looked_at_before_the_whole(opens, origin):
    noisy = 0.5 + 0.1 * torch.randn(1, 600, 900, generator=torch.manual_seed(0))
    noisy[:, :, :40] += 0.2
    page = opens()
    page.click("#mode-denoise")
    drop(page, "#content-well", ("large.png", encode(noisy.clamp(0, 1), "png")))
    page.wait_for_selector("#part-square:not([hidden])")
    label = page.get_attribute("#part-square", "aria-label")
    assert "512 × 512 pixels from column 194, row 44" in label
    option(page, "strength", 0.8)
    page.focus("#part-square")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.keyboard.press("Enter")
    job = answered.value.json()
    assert (job["recipe"]["crop"], job["recipe"]["strength"]) == ([130, 52, 512, 512], 0.8)
    assert job["title"] == "large.png (512 × 512)"
    ended(page, job["id"])
    page.wait_for_selector(f"#compare[data-job='{job['id']}']")
    before, _ = canvas(page, "#compare .before")
    expected = (255 * noisy.clamp(0, 1)[0, 52:564, 130:642]).round().numpy()
    assert np.abs(before[..., 0] - expected).max() <= 1
    # Dragged to the left border, it shows what is there, and the part before is gone.
    box = page.locator("#part-square").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] - 300, box["y"] + 5, steps=4)
    page.mouse.up()
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.click("#part-look")
    second = answered.value.json()
    assert second["recipe"]["crop"][0] == 0
    ended(page, second["id"])
    page.wait_for_selector(f"#compare[data-job='{second['id']}']")
    page.wait_for_selector(f"[data-job='{job['id']}']", state="detached")
    before, _ = canvas(page, "#compare .before")
    assert before[:, :40].mean() - before[:, 40:].mean() > 40


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_what_is_left_out_of_a_file_is_said_under_its_picture(opens, language):
    frames = [Image.new("RGB", (48, 32), color) for color in ("red", "lime", "blue")]
    film = io.BytesIO()
    frames[0].save(film, "WEBP", save_all=True, append_images=frames[1:])
    page = opens(locale=language)
    page.click("#mode-denoise")
    drop(page, "#content-well", ("film.webp", film.getvalue()))
    page.wait_for_selector("#content-notes:not([hidden])")
    words = {
        "en-US": "film.webp: 1 of its 3 pictures taken, the others left out",
        "zh-CN": "film.webp：共 3 张图，只取一张，其余略去",
    }[language]
    assert page.inner_text("#content-notes li") == words
    with page.expect_response("**/v1/jobs/denoise") as answered:
        page.click("#go")
    ended(page, answered.value.json()["id"])
    assert page.inner_text("#job-notes li") == words


def test_a_result_dropped_back_brings_its_recipe_and_pictures(opens, cat, tmp_path):
    page = opens()
    page.click("[data-preset=bold]")
    job = begin(page, cat, steps=7)
    ended(page, job)
    with page.expect_download() as download:
        page.click("#download-png")
    download.value.save_as(tmp_path / "painted.png")
    fresh = opens()
    assert fresh.get_attribute("[data-preset=default]", "aria-checked") == "true"
    drop(fresh, "body", ("painted.png", (tmp_path / "painted.png").read_bytes()))
    fresh.wait_for_selector("#recipe-dialog[open]")
    fresh.click("#recipe-as-recipe")
    fresh.wait_for_selector("[data-preset=bold][aria-checked=true]")
    fresh.wait_for_selector("#content-well.full")
    fresh.wait_for_selector("#style-well.full")
    assert fresh.input_value("#o-size-n") == "96"
    assert fresh.evaluate("document.querySelector('#o-steps-n').value") == "7"
    assert "cat.png" in fresh.inner_text("#content-well")
    with fresh.expect_response("**/v1/jobs/style") as answered:
        fresh.click("#go")
    again = answered.value.json()["id"]
    ended(fresh, again)
    with fresh.expect_download() as second:
        fresh.click("#download-png")
    assert second.value.path().read_bytes() == (tmp_path / "painted.png").read_bytes()


def test_what_is_no_picture_is_said_and_nothing_is_lost(opens, cat):
    page = opens()
    drop(page, "#content-well", ("cat.png", cat))
    drop(page, "#content-well", ("notes.txt", b"hello"))
    page.wait_for_selector("#error:has-text('notes.txt is neither a picture')")
    assert "cat.png" in page.inner_text("#content-well")
    page.click("#error button")
    drop(page, "#style-well", ("other.png", picture(40, 40, 1)))
    page.wait_for_selector("#go:not([disabled])")
    # What only the server notices: a picture whose pixels end too early for its decoder.
    page.route("**/v1/jobs/style", lambda route: route.fulfill(
        status=422, content_type="application/problem+json",
        body=json.dumps({"detail": "`style-1` must be a readable picture, got other.png: it is "
                         "cut short; export it again", "code": "unreadable_file"}),
    ))  # fmt: skip
    page.click("#go")
    page.wait_for_selector("#error:has-text('style 1 must be a readable picture, got other.png')")


def test_without_the_token_the_page_asks_for_it(browser, origin):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{origin}/")
    page.wait_for_selector("#token-dialog[open]")
    page.fill("#token", TOKEN)
    page.click("#token-use")
    page.wait_for_selector("html[data-ready]")
    assert TOKEN not in page.url
    context.close()


NAMELESS = """() => {
  const all = "button, input, select, canvas[tabindex], [role=slider]";
  const named = (one) => one.textContent.trim() || one.ariaLabel || one.labels?.length;
  return [...document.querySelectorAll(all)]
    .filter((one) => !one.hidden && one.type !== "file" && !named(one))
    .map((one) => one.cloneNode().outerHTML);
}"""


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("mode", ["style", "denoise", "reconstruct"])
def test_everything_has_a_name_and_fits_a_phone(opens, cat, language, mode):
    phone = {"width": 360, "height": 740}
    page = opens(locale=language, viewport=phone, is_mobile=True, has_touch=True)
    assert page.get_attribute("html", "lang") == ("zh-CN" if language == "zh-CN" else "en")
    page.click(f"#mode-{mode}")
    drop(page, "#content-well", ("cat.png", cat))
    page.click("#all summary")
    nameless = page.evaluate(NAMELESS)
    assert nameless == []
    page.evaluate("document.documentElement.dataset.view = 'running'")
    text = page.inner_text("body")
    assert not re.search(
        r"\b[a-z]+\.[a-z]+[A-Z]?\b(?<!\.png)(?<!\.webp)", text.replace("cat.png", "")
    ), text
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_tabs_answer_the_arrow_keys_and_the_theme_is_kept(opens):
    page = opens(color_scheme="dark")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.focus("#mode-style")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "mode-denoise"
    assert page.get_attribute("#mode-denoise", "aria-selected") == "true"
    page.click("#theme")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.get_attribute("html", "data-theme") == "light"


def keys(part, path=""):
    """All paths to a text."""
    for name, one in part.items():
        yield from keys(one, f"{path}{name}.") if isinstance(one, dict) else [f"{path}{name}"]


def test_both_languages_say_everything():
    english, chinese = (
        json.loads((PAGE / "texts" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("en", "zh")
    )
    from impasto.presets import PRESETS
    from impasto.serve.job_methods import JOB_METHODS
    from impasto.serve.problems import PROBLEMS

    # A language may have words of its own for sentences of the server.
    every = {key for key in keys(english) if not key.startswith("details.")}
    assert every <= set(keys(chinese))
    sources = [PAGE / "index.html", *sorted((PAGE / "js").glob("*.js"))]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    asked = set(re.findall(r'\bt\("([a-zA-Z0-9.]+)"[,)]', code))
    asked |= set(re.findall(r'data-t(?:-label|-alt)?="([^"]+)"', code))
    assert asked - {"progress"} <= every
    for method in JOB_METHODS.values():
        names = set(method.recipe.model_fields) - {"version", "preset"}
        assert names <= set(english["options"]), names - set(english["options"])
        assert names <= set(chinese["hints"])
    assert set(english["problems"]) == set(chinese["problems"]) == set(PROBLEMS)
    assert set(PRESETS) <= set(chinese["presets"])
    assert set(PRESETS) <= set(chinese["presetWords"])


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_code():
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http" not in text.replace("https?", ""), path
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text
            )
            assert not re.search(r"\sstyle=|\son[a-z]+=\"|<script>", text), path
