"""Security middleware: hosts, origins, tokens, lengths, and the headers of every answer."""

import asyncio
import itertools

import pytest
from stage import AUTHORIZED, ORIGIN, TOKEN, asking, paint, picture

from impasto.cli.main import main
from impasto.serve.problems import RequestError
from impasto.serve.security import SecurityMiddleware

HOSTS = {
    "127.0.0.1:8765": True, "localhost:8765": True, "[::1]:8765": True, "localhost": True,
    "127.0.0.1:9999": True,  # a port that is mapped elsewhere
    "evil.example": False, "evil.example:8765": False, "127.0.0.1.evil.example": False,
    "localhost.evil.example:8765": False, "127.0.0.1:8765@evil.example": False,
    "": False, "localhost:": True, "localhost:80x": False, "0.0.0.0:8765": False,
}  # fmt: skip
ORIGINS = {
    None: True, "self": True, "null": False, "http://evil.example": False,
    "http://localhost:1": False, "file://": False, "": False,
}  # fmt: skip
SITES = {None: True, "same-origin": True, "none": True, "same-site": False, "cross-site": False}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("guard") / "jobs") as client:
        yield client


@pytest.mark.parametrize("host", HOSTS)
def test_only_the_right_combinations_of_host_origin_and_site_pass(client, host):
    for origin, site in itertools.product(ORIGINS, SITES):
        headers = {"host": host}
        if origin is not None:
            headers["origin"] = f"http://{host}" if origin == "self" else origin
        if site is not None:
            headers["sec-fetch-site"] = site
        right = HOSTS[host] and ORIGINS[origin] and SITES[site]
        for ask in (client.get, client.post):
            # Without a job there is none to stop; but that is only said to whoever may ask.
            path = "/v1/jobs" if ask == client.get else f"/v1/jobs/{'0' * 16}/stop"
            status = ask(path, headers=headers).status_code
            assert status == ((200 if ask == client.get else 404) if right else 403), headers
        for path in ("/", "/v1/health", "/page/style.css"):
            assert (client.get(path, headers=headers).status_code == 403) == (not right)


CHANGES = [
    ("post", "/v1/jobs/style"), ("post", "/v1/jobs/denoise"), ("post", "/v1/jobs/reconstruct"),
    ("post", "/v1/jobs/texture"), ("post", "/v1/jobs/film"), ("post", "/v1/jobs/denoise-clip"),
    ("post", "/v1/jobs/fit"), ("post", "/v1/jobs/apply"),
    ("post", f"/v1/jobs/{'0' * 16}/stop"), ("post", f"/v1/jobs/{'0' * 16}/cancel"),
    ("post", f"/v1/jobs/{'0' * 16}/retry"), ("delete", f"/v1/jobs/{'0' * 16}"),
    ("post", "/v1/diagnosis"), ("post", "/v1/recipe"),
]  # fmt: skip
READS = [
    ("get", "/v1/jobs"), ("get", "/v1/events"), ("get", "/v1/options"),
    ("get", f"/v1/jobs/{'0' * 16}"), ("get", f"/v1/jobs/{'0' * 16}/result"),
    ("post", "/"), ("put", "/v1/health"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CHANGES + READS)
@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer another-token-of-mine", f"Basic {TOKEN}", TOKEN,
     f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}", "Bearer \xff"],
)  # fmt: skip
def test_without_the_token_nothing_is_changed_or_told(client, method, path, authorization):
    headers = {"authorization": authorization.encode("latin-1")}
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "impasto serve" in answer.json()["detail"]


def test_every_route_that_changes_something_is_in_the_table_above(client):
    paths = client.get("/v1/openapi.json").json()["paths"]
    tested = {(method, path.replace("0" * 16, "{job}")) for method, path in CHANGES}
    assert tested == {
        (method, path) for path, methods in paths.items() for method in methods if method != "get"
    }


def test_the_token_in_the_address_or_a_cookie_is_no_token(client):
    nothing = {"authorization": ""}
    assert client.get(f"/v1/jobs?token={TOKEN}", headers=nothing).status_code == 401
    cookie = nothing | {"cookie": f"token={TOKEN}; authorization=Bearer {TOKEN}"}
    assert client.get("/v1/jobs", headers=cookie).status_code == 401


@pytest.mark.parametrize("path", ["/", "/page/none.js", "/v1/jobs", "/v1/none", "/v1/health", "/x"])
def test_every_answer_has_the_headers_that_keep_browsers_careful(client, path):
    for headers in ({}, {"authorization": ""}, {"host": "evil.example"}):
        sent = client.get(path, headers=headers).headers
        policy = sent["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "media-src blob:;" in policy  # films come with the token, as blobs
        assert "http" not in policy
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["cross-origin-resource-policy"] == "same-origin"
        assert sent["referrer-policy"] == "no-referrer"
        assert sent["cache-control"]
        assert not [name for name in sent if name.startswith("access-control")]


def test_there_is_no_preflight_and_no_documentation_from_elsewhere(client):
    headers = {"origin": ORIGIN, "access-control-request-method": "POST"}
    answer = client.options("/v1/jobs/style", headers=headers)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


@pytest.mark.parametrize(
    "path", ["/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page//etc/passwd",
             "/page/thumbnails/..%2f..%2frecipe.py", "/page/thumbnails/%2e%2e%2frecipe.py"]
)  # fmt: skip
def test_no_file_outside_the_page_is_served(client, path):
    assert client.get(path).status_code == 404


def answered(guard, headers, method="POST", path="/v1/jobs/style", body=()):
    """The statuses and parts of an answer, and how many parts of the body were asked for."""
    sent, parts = [], iter(body)
    taken = 0

    async def receive():
        nonlocal taken
        taken += 1
        try:
            return next(parts)
        except StopIteration:
            await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "http_version": "1.1",
        "headers": [(k.encode(), v.encode()) for k, v in headers],
        "scheme": "http", "server": ("127.0.0.1", 8765), "client": ("127.0.0.1", 1),
        "root_path": "",
    }  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], taken


FORM = ("content-type", "multipart/form-data; boundary=x")
OWN = [("host", "localhost:8765"), ("authorization", AUTHORIZED["authorization"])]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([FORM, ("transfer-encoding", "chunked")], 411),
        ([FORM, ("content-length", str(2**40))], 413),
        ([FORM, ("content-length", "9" * 5000)], 413),
        ([FORM, ("content-length", "-1")], 413),
        ([FORM, ("content-length", "1_0")], 413),
        ([("content-length", str(2**20))], 413),
        ([FORM, ("content-length", "5"), ("content-length", "6")], 400),
        ([("host", "evil.example")], 400),
        ([("authorization", "Bearer x")], 400),
        ([("origin", "null"), ("origin", "http://localhost:8765")], 400),
    ],
)
def test_a_body_that_cannot_be_right_is_refused_before_it_is_read(client, more, status):
    assert answered(client.app, [*OWN, *more]) == (status, 0)


def test_an_upload_that_comes_too_slowly_is_ended():
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    guard = SecurityMiddleware(app, (), TOKEN, 10**6, 0.05)
    slow = [{"type": "http.request", "body": b"x", "more_body": True}] * 2
    with pytest.raises(RequestError) as caught:
        answered(guard, [*OWN, FORM, ("content-length", "100")], body=slow)
    assert caught.value.code == "upload_too_slow"


def test_an_upload_that_comes_too_slowly_is_answered(tmp_path):
    with asking(tmp_path, upload_seconds=0.5) as client:
        part = {"type": "http.request", "body": b"--x\r\n", "more_body": True}
        status, taken = answered(client.app, [*OWN, FORM, ("content-length", "100")], body=[part])
        assert (status, taken) == (408, 2)


def test_another_name_can_be_allowed(tmp_path):
    from starlette.testclient import TestClient

    from impasto.serve.app import create_app
    from impasto.serve.limits import ServeOptions

    app = create_app(ServeOptions(folder=str(tmp_path)), TOKEN, ["studio.example"])
    with TestClient(app, base_url="http://studio.example", headers=AUTHORIZED) as client:
        assert client.get("/v1/jobs").status_code == 200
        proxied = {"origin": "https://studio.example"}
        assert client.get("/v1/jobs", headers=proxied).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.example"])
def test_another_address_than_this_machines_needs_a_token(host, capsys, tmp_path):
    words = ["serve", "--no-browser", "--host", host, "--folder", str(tmp_path / "jobs")]
    assert main(words) == 2
    assert "`token` must be given if `host` is not this machine's own" in capsys.readouterr().err
    assert not (tmp_path / "jobs").exists()


def test_a_token_must_not_be_easy_to_guess(capsys):
    assert main(["serve", "--token", "short"]) == 2
    message = capsys.readouterr().err
    assert "`token` must be" in message
    assert message.endswith("see `impasto serve --help` for every option\n")


def test_a_port_or_a_folder_that_is_taken_is_one_sentence(tmp_path, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["serve", "--no-browser", "--port", port, "--folder", str(tmp_path)]
        assert main(words) == 1
        assert f"`port` must be free at 127.0.0.1, got {port}" in capsys.readouterr().err
    with asking(tmp_path):
        assert main(["serve", "--no-browser", "--port", "0", "--folder", str(tmp_path)]) == 1
        assert "`folder` must not be another server's" in capsys.readouterr().err


def test_names_of_files_are_only_shown_and_never_used(client, tmp_path):
    from stage import until

    nasty = "../../../etc/pass\x00wd/..\\<img src=x onerror=alert(1)>.png"
    form = [("content", (nasty, picture(), "image/png")), ("style", ("b.png", picture(), "x/y"))]
    answer = client.post(
        "/v1/jobs/style", files=form, data={"options": '{"size":32,"steps":1,"scales":1}'}
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert "/" not in job["inputs"][0]["name"]
    assert "\\" not in job["inputs"][0]["name"]
    until(client, job["id"], "done")
    service = client.app.service
    names = {path.name for path in service.store.path(job["id"]).iterdir()}
    assert names <= {"content.png", "style-1.png", "job.json", "recipe.json",
                     "result.safetensors", "checkpoint"}  # fmt: skip
    header = client.get(f"/v1/jobs/{job['id']}/result").headers["content-disposition"]
    assert "<" not in header
    assert '"' not in header.split('filename="')[1].split('"; ')[0]


@pytest.mark.parametrize(
    "weights", ["torchvision", "/etc/passwd", "http://evil.example/w.pth", "../w.safetensors"]
)
def test_no_path_is_opened_and_no_address_fetched(client, weights):
    from stage import post

    answer = post(client, "style", {"weights": weights}, content=picture(), style=picture())
    assert answer.status_code == 422
    assert "`weights` must be oxford here" in answer.json()["detail"]


def test_jobs_are_this_users_alone(tmp_path):
    with asking(tmp_path / "jobs") as client:
        paint(client)
        assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0
