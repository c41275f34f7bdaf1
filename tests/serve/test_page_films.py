"""Films, fitted models and textures on the page: what is dropped decides what is made."""

import json

import pytest
from browse import NEEDS_BROWSER, drop, ended, option
from stage import picture

pytestmark = NEEDS_BROWSER


def started(page, method):
    """Press the button; the job that the server took."""
    with page.expect_response(f"**/v1/jobs/{method}") as answered:
        page.click("#go")
    assert answered.value.status == 202, answered.value.text()
    return answered.value.json()


def small_film(page, clip, evaluations=1):
    drop(page, "#content-well", ("holiday.mp4", clip))
    drop(page, "#style-well", ("waves.png", picture(64, 64, 1)))
    page.wait_for_selector("#go:not([disabled])")
    for name, number in (("size", 64), ("steps", 3), ("frame_evaluations", evaluations)):
        option(page, name, number)


def plays(page, job):
    """Wait for the film of a job; its size, and whether it plays."""
    page.wait_for_selector(f"#film[data-job='{job}']:not([hidden])")
    return page.evaluate(
        """async () => {
          const film = document.querySelector("#film");
          await film.play();
          film.pause();
          film.currentTime = 0.2;
          await new Promise((done) => film.addEventListener("seeked", done, { once: true }));
          return [film.videoWidth, film.videoHeight, film.currentTime];
        }"""
    )


def test_a_film_is_painted_watched_and_downloaded(opens, clip):
    page = opens()
    small_film(page, clip)
    assert page.inner_text("#content-title") == "Your film"
    assert page.inner_text("#content-well .name") == "0:01 · 64 × 48 · holiday.mp4"
    page.wait_for_selector("#content-well .thumb[src^=blob]")
    assert page.inner_text("#go") == "Paint the film"
    assert page.inner_text("#why").startswith("64 × 48 · film of 0:01")
    for there in ("#o-engine", "#o-range"):
        assert page.is_visible(there)
    for missing in ("#part-tools", "[data-region]"):
        assert not page.is_visible(missing)
    page.fill("#o-range", "0:4")
    page.press("#o-range", "Tab")
    page.click("#mask-protect")
    page.wait_for_selector("#mask-dialog[open]")
    page.click("#mask-invert")
    page.keyboard.press("f")
    page.click("#mask-cancel")
    page.click("#mask-discard")
    job = started(page, "film")
    assert (job["recipe"]["range"], job["recipe"]["size"]) == ("0:4", 64)
    assert plays(page, job["id"]) == [64, 48, 0.2]
    assert "4 frames, 0:00" in page.inner_text("#done-text")
    with page.expect_download() as saved:
        page.click("#download-more button")
    assert saved.value.suggested_filename == "holiday-painted.mp4"
    page.wait_for_selector(f"[data-job='{job['id']}'] img[src^=blob]")
    # The settings come back with the film, and a picture after it finds its own.
    page.fill("#o-range", "0:2")
    page.press("#o-range", "Tab")
    page.click("#again")
    page.wait_for_function("() => document.querySelector('#o-range').value === '0:4'")
    assert page.inner_text("#content-well .name").endswith("holiday.mp4")
    drop(page, "#content-well", ("cat.png", picture(64, 48)))
    page.wait_for_function("() => document.querySelector('#go').textContent === 'Paint'")
    assert page.locator("#o-range").count() == 0


def test_a_stopped_film_plays(opens, clip):
    page = opens()
    small_film(page, clip, evaluations=300)
    page.select_option("#o-engine", "painted")
    job = started(page, "film")["id"]
    page.wait_for_function(
        "() => /^Frame [2-5] of 6 · /.test(document.querySelector('#progress-text').textContent)"
    )
    page.wait_for_selector(f"#preview[data-of='{job}']")
    assert page.inner_text("#stop") == "Stop and keep the film so far"
    page.click("#stop")
    assert plays(page, job)[:2] == [64, 48]
    assert page.inner_text("#done-text").startswith("Stopped early")


def test_a_film_is_cleaned(opens, clip):
    page = opens()
    page.click("#mode-denoise")
    drop(page, "#content-well", ("holiday.mp4", clip))
    page.wait_for_selector("#go:not([disabled])")
    assert page.inner_text("#go") == "Clean the film"
    assert not page.is_visible("#diagnosis")
    job = started(page, "denoise-clip")
    assert plays(page, job["id"])[:2] == [64, 48]


def test_a_film_is_no_style(opens, clip):
    page = opens(locale="zh-CN")
    drop(page, "#style-well", ("holiday.mp4", clip))
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error p") == "holiday.mp4 是视频，风格图须为图片。"


def test_a_model_is_fitted_and_paints_with_a_click(opens):
    page = opens()
    page.click("[data-making=model]")
    assert page.inner_text("#why") == "Choose photographs first, one or several."
    shots = [(f"p{n}.png", picture(96, 64, n)) for n in range(2)]
    drop(page, "#content-well", *shots)
    drop(page, "#content-well", ("p2.png", picture(96, 64, 2)))
    page.wait_for_function("() => document.querySelectorAll('#more li').length === 2")
    drop(page, "#style-well", ("waves.png", picture(64, 64, 1)))
    page.wait_for_selector("#go:not([disabled])")
    assert page.inner_text("#go") == "Fit the model"
    option(page, "size", 64)
    option(page, "steps", 2)
    job = started(page, "fit")
    assert [one["role"] for one in job["inputs"]] == [
        "photograph-1", "photograph-2", "photograph-3", "style-1",
    ]  # fmt: skip
    page.wait_for_selector("#use-model:not([hidden])")
    page.wait_for_selector("#poster-box:not([hidden]) #poster[src^=blob]")
    with page.expect_download() as saved:
        page.click("#download-more button")
    assert saved.value.suggested_filename.endswith(".impasto")
    model = saved.value.path().read_bytes()
    page.click("#use-model")
    page.wait_for_selector("[data-model]")
    assert page.inner_text("#styles .title") == "waves.impasto"
    # The photographs of the fit are painted with it, one after the other.
    with page.expect_response(lambda got: got.url.endswith("/v1/jobs/apply")) as answered:
        page.click("#go")
    ended(page, answered.value.json()["id"])
    page.wait_for_function(
        """() => [...document.querySelectorAll('#history .title')]
          .filter((one) => one.textContent.endsWith('waves.impasto')).length === 3"""
    )

    page.click("[data-model] button")
    assert page.inner_text("#styles .title") == "waves.png"
    drop(page, "#style-well", ("sea.impasto", model))
    page.wait_for_selector("[data-model]")
    drop(page, "#content-well", ("cat.png", picture(48, 48)))
    page.wait_for_selector("#more-box", state="hidden")
    job = started(page, "apply")
    assert job["title"] == "cat.png × sea.impasto"
    ended(page, job["id"])
    page.reload()
    page.wait_for_selector("[data-model]")
    # A style takes the model's place.
    page.click("#shelf button")
    page.wait_for_selector("[data-model]", state="detached")


def test_a_texture_needs_no_picture(opens):
    page = opens()
    page.click("[data-making=texture]")
    assert not page.is_visible("#content-box")
    drop(page, "body", ("waves.png", picture(64, 64, 1)))
    page.wait_for_selector("#go:not([disabled])")
    for name, number in (("width", 96), ("height", 64), ("steps", 2)):
        option(page, name, number)
    assert page.inner_text("#why").startswith("96 × 64")
    job = started(page, "texture")
    ended(page, job["id"])
    assert (job["recipe"]["width"], job["recipe"]["height"]) == (96, 64)
    page.click("#mode-denoise")
    page.click("#again")
    page.wait_for_selector("[data-making=texture][aria-checked=true]")


def test_masks_of_styles_come_back_under_the_names_that_the_server_takes(opens):
    page = opens()
    mask = {"name": "mask.png", "mimeType": "image/png", "buffer": picture(64, 48, 5)}
    of_style = mask | {"buffer": picture(64, 64, 5)}
    form = {
        "content": {"name": "cat.png", "mimeType": "image/png", "buffer": picture(64, 48)},
        "style": {"name": "waves.png", "mimeType": "image/png", "buffer": picture(64, 64, 1)},
        "region_1": mask, "mask_1": of_style, "keep": mask,
        "options": json.dumps({"size": 64, "steps": 2, "scales": 1}),
    }  # fmt: skip
    token = page.evaluate("localStorage.getItem('impasto-token')")
    address = page.evaluate("location.origin")
    answer = page.request.post(
        f"{address}/v1/jobs/style", multipart=form, headers={"authorization": f"Bearer {token}"}
    )
    first = answer.json()
    assert answer.status == 202, first
    roles = sorted(one["role"] for one in first["inputs"])
    page.click(f"[data-job='{first['id']}'] .open")
    ended(page, first["id"])
    page.click("#again")
    page.wait_for_selector("[data-region][aria-pressed=true]")
    again = started(page, "style")
    assert sorted(one["role"] for one in again["inputs"]) == roles
    assert {"mask-1", "region-1", "keep"} <= set(roles)


@pytest.mark.parametrize("width", [360, 390])
def test_nothing_flows_out_on_a_phone(opens, width):
    page = opens(viewport={"width": width, "height": 800})
    for view in ("#mode-style", "[data-making=texture]", "[data-making=model]", "#mode-denoise"):
        page.click(view)
        out = page.evaluate(
            """() => [...document.querySelectorAll("button, select, h2, label")]
              .filter((one) => one.offsetParent && !one.closest(".strip, .list"))
              .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth
                || one.scrollHeight > one.clientHeight + 1 && one.clientHeight
                || one.getBoundingClientRect().right > innerWidth + 1)
              .map((one) => one.id || one.textContent)"""
        )
        assert out == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width
