"""Batches: what is to be done, what is done, and what is left when something dies."""

import hashlib
import io
import json
import os
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from impasto.batch import storage
from impasto.batch.dry_run import estimate_batch
from impasto.batch.manifest import NAME, Manifest, algorithm_versions, fingerprint
from impasto.batch.plan import BatchPlan, plan_jobs, read_plan
from impasto.batch.run import run_batch
from impasto.cli.main import main
from impasto.errors import ImageError, ImpastoError
from impasto.files import recorded_name
from impasto.images.read import open_image
from impasto.presets import style_recipe
from impasto.provenance import read_provenance
from impasto.recipes import DenoiseRecipe


def draw(path, seed=0, size=(40, 32)):
    """A small noisy picture in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(90, 166, (size[1], size[0], 3), np.uint8)
    Image.fromarray(values).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with three pictures in two folders, and two styles."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("in/a.png", "in/b.png", "in/deep/a.png")):
        draw(tmp_path / name, number)
    for number, name in enumerate(("one.png", "two.png")):
        draw(tmp_path / name, 7 + number)
    return tmp_path


def cleaning(**options):
    """A plan that cleans the folder `in`."""
    fixed = {"contents": ("in",), "styles": (), "output": "out", "recipe": DenoiseRecipe()}
    return BatchPlan("denoise", **{**fixed, **options})


def painting(**options):
    """A plan that paints it, in a moment."""
    recipe = style_recipe(size=32, steps=1)
    fixed = {"contents": ("in",), "styles": ("one.png",), "output": "out", "recipe": recipe}
    return BatchPlan("style", **{**fixed, **options})


def files(folder):
    """Every file below a folder, with its bytes, the manifest's left out."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if NAME not in name}


def test_every_content_is_paired_with_every_style_and_the_tree_is_kept(folder):
    found = plan_jobs(painting(styles=("one.png", "two.png")))
    assert [job.output for job in found] == [
        "out/a-one.png", "out/a-two.png", "out/b-one.png", "out/b-two.png",
        "out/deep/a-one.png", "out/deep/a-two.png",
    ]  # fmt: skip
    assert found[1].inputs == {"content": "in/a.png", "style-1": "two.png"}


@pytest.mark.parametrize(
    ("source", "below"),
    [
        ("in", ["a.png", "b.png", "deep/a.png"]),
        ("in/*.png", ["a.png", "b.png"]),
        ("in/**/a.png", ["a.png", "deep/a.png"]),
        ("in/b.png", ["b.png"]),
    ],
)
def test_files_folders_and_patterns(folder, source, below):
    assert [found.relative for found in storage.list_images(source, "contents").images] == below
    absolute = storage.list_images(f"file://{folder}/{source}", "contents").images
    assert [found.relative for found in absolute] == below


@pytest.mark.parametrize("name", ["[2024] trip", "what?", "a*b", "[x"])
def test_folders_whose_names_have_wildcards_are_found(folder, name):
    for number, file in enumerate(("a.png", "[no].png", "deep/c.png")):
        draw(folder / name / file, number)
    for source, below in (
        (name, ["[no].png", "a.png", "deep/c.png"]),
        (f"{name}/[no].png", ["[no].png"]),
        (f"{name}/*.png", ["[no].png", "a.png"]),
        (f"{name}/**/c.png", ["deep/c.png"]),
    ):
        for start in ("", f"{folder}/"):
            listed = storage.list_images(start + source, "contents").images
            assert [file.relative for file in listed] == below
    assert [file.path for file in storage.list_images("*/[no].png", "contents").images] == [
        f"{name}/[no].png"
    ]
    with pytest.raises(ImageError, match="where none was found"):
        storage.list_images(f"*/{name}/*.png", "contents")


def test_places_that_cannot_be_listed_are_one_sentence(folder, monkeypatch):
    for source in ("x" * 5000 + "/*.png", "*/" + "x" * 5000 + "/a.png"):
        with pytest.raises(ImageError, match="`contents` must be a p"):
            storage.list_images(source, "contents")
    assert run_batch(cleaning(contents=("in", "x" * 5000)), executor="inline").done == 3

    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("impasto.batch.storage.os.scandir", scandir)
    with pytest.raises(ImageError, match="a place that can be read, got in: Permission denied"):
        storage.list_images("in", "contents")


def test_a_style_of_one_color_fails_alone(folder):
    Image.new("RGB", (40, 32), (9, 99, 9)).save(folder / "green.png")
    progress = run_batch(painting(styles=("one.png", "green.png")), executor="inline")
    assert (progress.done, len(progress.failed)) == (3, 3)
    assert all("nothing to learn from it" in reason for reason in progress.failed.values())


def test_one_picture_named_twice_is_made_once(folder):
    assert len(plan_jobs(cleaning(contents=("in", "in/a.png", str(folder / "in" / "b.png"))))) == 3


def test_two_pictures_of_one_name_are_refused(folder):
    draw(folder / "other" / "a.jpg")
    with pytest.raises(ValueError, match=r"out/a\.png for in/a\.png and other/a\.jpg"):
        plan_jobs(cleaning(contents=("in", "other")))


def test_an_output_that_would_replace_an_input_is_refused(folder):
    with pytest.raises(ImageError, match="`output` must not replace an input, got"):
        plan_jobs(cleaning(output="in"))


def test_every_picture_is_made_with_its_account_inside(folder):
    found = run_batch(painting(), executor="inline", threads=1)
    assert (found.total, found.done, found.made, found.failed) == (3, 3, 3, {})
    account = read_provenance(open_image("out/deep/a.png").metadata.recipe)
    assert account.inputs.content.name == "a.png"
    wanted = fingerprint(
        "style",
        painting().recipe.model_dump_json(),
        [account.inputs.content.sha256, account.inputs.styles[0].pictures[0].sha256],
        _weights(),
    )
    assert account.fingerprint == wanted
    assert set(files(folder / "out")) == {"a.png", "b.png", "deep/a.png"}


def _weights():
    from impasto.vgg.weights import load_weights

    return load_weights().sha256


def test_a_finished_batch_does_no_work(folder):
    run_batch(cleaning(), executor="inline", threads=1)
    before = files(folder / "out")
    times = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*.png")}
    again = run_batch(cleaning(), executor="inline", threads=1)
    assert (again.done, again.made) == (3, 0)
    assert files(folder / "out") == before
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_a_folder_alone_tells_what_is_done(folder):
    run_batch(cleaning(), executor="inline", threads=1)
    (folder / "out" / NAME).unlink()
    again = run_batch(cleaning(), executor="inline", threads=1)
    assert (again.done, again.made) == (3, 0)


def test_what_has_changed_is_made_again(folder):
    run_batch(cleaning(), executor="inline", threads=1)
    draw(folder / "in" / "b.png", seed=99)
    (folder / "out" / "deep" / "a.png").unlink()
    before = files(folder / "out")
    again = run_batch(cleaning(), executor="inline", threads=1)
    assert (again.done, again.made) == (3, 2)
    after = files(folder / "out")
    assert after["a.png"] == before["a.png"]
    assert after["b.png"] != before["b.png"]
    assert run_batch(cleaning(recipe=DenoiseRecipe(strength=0.5)), executor="inline").made == 3


def test_what_is_not_of_the_batch_is_never_replaced_unasked(folder):
    draw(folder / "out" / "b.png", seed=5)
    foreign = (folder / "out" / "b.png").read_bytes()
    with pytest.raises(ImageError, match=r"must not hold what would be written, got out/b\.png"):
        run_batch(cleaning(), executor="inline")
    assert set(files(folder / "out")) == {"b.png"}
    with pytest.raises(ImageError, match="than fail"):
        run_batch(cleaning(), executor="inline", existing="fail")
    found = run_batch(cleaning(), executor="inline", existing="skip", threads=1)
    assert (found.made, found.skipped) == (2, 1)
    assert (folder / "out" / "b.png").read_bytes() == foreign
    assert run_batch(cleaning(), executor="inline", existing="overwrite", threads=1).made == 3
    assert (folder / "out" / "b.png").read_bytes() != foreign


def test_a_picture_that_was_edited_afterwards_is_not_replaced(folder):
    run_batch(cleaning(), executor="inline", threads=1)
    draw(folder / "out" / "a.png", seed=77)
    with pytest.raises(ImageError, match=r"got out/a\.png"):
        run_batch(cleaning(), executor="inline")


def test_bad_pictures_cost_only_themselves(folder, capsys):
    (folder / "in" / "bad.png").write_text("no picture")
    (folder / "in" / "empty.jpg").write_bytes(b"")
    assert main(["batch", "denoise", "in", "-o", "out", "--executor", "inline", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["total"], told["done"], told["left"]) == (5, 3, 0)
    assert set(told["failed"]) == {"out/bad.png", "out/empty.png"}
    assert "must be a readable picture" in told["failed"]["out/bad.png"]
    assert main(["batch", "denoise", "in/bad.png", "-o", "no", "--executor", "inline"]) == 1


def test_pictures_that_are_not_used_are_counted(folder, capsys):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "lime", "blue")]
    frames[0].save(folder / "in" / "film.webp", save_all=True, append_images=frames[1:])
    words = ["batch", "denoise", "in/film.webp", "in/a.png", "--executor", "inline"]
    assert main([*words, "-o", "out", "--format", "png"]) == 0
    err = capsys.readouterr().err
    note = "1 of its 3 pictures taken, the others left out"
    assert f"impasto: in/film.webp: {note}\n" in err
    assert main([*words, "-o", "again", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == {"in/film.webp": 3}
    assert report["notes"] == {"in/film.webp": [note]}


def png(width, height, data=b""):
    """A PNG's signature, a header that says a size, and what follows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    blocks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(blocks)


def test_twelve_kinds_of_bad_pictures_beside_thirty_good_ones(folder, capsys):
    for number in range(27):
        draw(folder / "in" / f"{number}.png", number, size=(16, 16))
    whole = (folder / "in" / "a.png").read_bytes()
    jpeg = io.BytesIO()
    Image.open(folder / "in" / "a.png").save(jpeg, "jpeg")
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, np.zeros((20, 20), np.uint16))
    nothing_known = io.BytesIO()
    tifffile.imwrite(nothing_known, np.full((20, 20), np.nan, np.float32))
    bad = {
        "empty.png": b"",
        "text.png": b"Dear reader, this is no picture at all.",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "page.jpg": b"%PDF-1.7 and so on",
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "cut.png": whole[: len(whole) // 2],
        "short.jpg": jpeg.getvalue()[:200],
        "brief.tif": tiff.getvalue()[:100],
        "altered.png": whole[:60] + bytes(40) + whole[100:],
        "enormous.png": png(60_000, 60_000),
        "hollow.png": png(40, 40),
        "nan.tif": nothing_known.getvalue(),
    }
    for name, data in bad.items():
        (folder / "in" / name).write_bytes(data)
    inputs = files(folder / "in")
    assert main(["batch", "denoise", "in", "-o", "out", "--executor", "inline", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["total"], told["done"], told["left"]) == (42, 30, 0)
    reasons = {os.path.basename(place): reason for place, reason in told["failed"].items()}
    assert {os.path.splitext(name)[0] for name in reasons} == {
        os.path.splitext(name)[0] for name in bad
    }
    for reason in reasons.values():
        assert "must" in reason
        assert ", got " in reason
        assert "\n" not in reason
    assert len(files(folder / "out")) == 30
    assert files(folder / "in") == inputs


def test_two_batches_into_one_folder_leave_each_other_alone(folder):
    (folder / "out" / ".impasto-work" / "own" / "picture-x").mkdir(parents=True)
    run_batch(
        cleaning(contents=("in/a.png",)), executor="inline", threads=1, manifest="first.sqlite"
    )
    assert (folder / "out" / ".impasto-work" / "own" / "picture-x").exists()
    found = run_batch(cleaning(contents=("in/b.png",)), executor="inline", threads=1)
    assert found.done == 1
    assert not (folder / "out" / ".impasto-work").exists()


@pytest.mark.slow
def test_processes_give_the_same_bytes(folder):
    run_batch(painting(), executor="inline", threads=1)
    found = run_batch(painting(output="other"), workers=2, threads=1)
    assert found.made == 3
    assert files(folder / "other") == files(folder / "out")


def test_a_batch_that_was_killed_goes_on(folder):
    plan = cleaning()
    run_batch(plan, executor="inline", threads=1)
    whole = files(folder / "out")
    with sqlite3.connect(folder / "out" / NAME) as base:
        base.execute("UPDATE pictures SET status='running', attempts=1, written=''")
    base.close()
    (folder / "out" / "b.png").unlink()
    (folder / "out" / ".impasto-work" / "own" / "picture-x").mkdir(parents=True)
    (folder / "out" / ".impasto-work" / "own" / "picture-x" / "b.png").write_bytes(b"half")
    found = run_batch(plan, executor="inline", threads=1)
    assert (found.done, found.made) == (3, 1)
    assert files(folder / "out") == whole


def test_a_manifest_of_before_is_read(folder):
    """Tables, columns and digests are those that earlier versions wrote."""
    (job,) = plan_jobs(cleaning(contents=("in/a.png",)))
    run_batch(cleaning(contents=("in/a.png",)), executor="inline", threads=1)
    stat = {name: (folder / name).stat() for name in ("in/a.png", "out/a.png")}
    stamps = {name: [one.st_size, str(one.st_mtime_ns)] for name, one in stat.items()}
    work = json.dumps(["denoise", "in/a.png", "", DenoiseRecipe().model_dump_json()])
    (folder / "out" / NAME).unlink()
    with sqlite3.connect(folder / "out" / NAME) as base:
        base.execute(
            "CREATE TABLE pictures (output TEXT PRIMARY KEY, job TEXT NOT NULL, algorithm TEXT NOT "
            "NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT, seconds "
            "REAL, fingerprint TEXT, seen TEXT, written TEXT) WITHOUT ROWID"
        )
        base.execute(
            "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
        )
        base.execute("INSERT INTO facts VALUES ('version', '1'), ('threads', '1')")
        base.execute(
            "INSERT INTO pictures VALUES (?, ?, ?, 'done', 0, NULL, 0.5, 'ab', ?, ?)",
            (
                job.output,
                hashlib.sha256(work.encode()).hexdigest(),
                algorithm_versions(),
                json.dumps([stamps["in/a.png"]]),
                str(tuple(stamps["out/a.png"])),
            ),
        )
    base.close()
    # Only the row says that it is done: the fingerprint in the file is another.
    found = run_batch(cleaning(), executor="inline")
    assert (found.done, found.made) == (3, 2)
    manifest = Manifest(folder / "out" / NAME)
    assert manifest.load()["out/a.png"].fingerprint == "ab"
    manifest.close()


def test_a_stack_is_cleaned_within_the_workers_part_of_the_memory(folder, monkeypatch):
    from impasto.batch import outputs

    recipes = []
    real = outputs.denoise_stack

    def denoise_stack(*arguments, recipe, **options):
        recipes.append(recipe)
        return real(*arguments, recipe=recipe, **options)

    monkeypatch.setattr(outputs, "denoise_stack", denoise_stack)
    noise = np.random.default_rng(0).integers(900, 1300, (2, 32, 40)).astype(np.uint16)
    tifffile.imwrite("cells.tif", noise, imagej=True, metadata={"axes": "ZYX"})
    whole, part = (
        plan_jobs(cleaning(contents=("cells.tif",), output=name))[0] for name in ("whole", "part")
    )
    assert outputs.make_output(whole, "", 1.0).status == "done"
    assert outputs.make_output(part, "", 0.5).status == "done"
    assert recipes[0].memory == "auto"
    assert recipes[1].memory > 0
    # The limit is not stored: it would make the file depend on what else this machine does.
    assert (folder / "part/cells.tif").read_bytes() == (folder / "whole/cells.tif").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 40, 4), (2, 32, 40)])
def test_data_that_a_picture_cannot_hold_is_refused_before_the_work(shape, folder, monkeypatch):
    from impasto.batch import outputs

    monkeypatch.setattr(outputs, "run_job", None)
    values = np.zeros(shape, np.uint8)
    options = {"planarconfig": "contig"} if shape[-1] == 4 else {}
    tifffile.imwrite("cells.tif", values, photometric="minisblack", metadata=None, **options)
    (job,) = plan_jobs(cleaning(contents=("cells.tif",), output="out", format=".png"))
    outcome = outputs.make_output(job, "", 1.0)
    assert "`output` must end in .tif or .tiff for measured data" in outcome.reason


def test_a_worker_that_dies_costs_that_picture_an_attempt(folder, monkeypatch):
    # Whoever opens b.png dies, as if the system had killed it.
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        "import impasto.batch.workers as work\n"
        "before = work._run\n"
        "def made(job, *rest):\n"
        "    if job.inputs['content'].endswith('b.png'):\n"
        "        os._exit(9)\n"
        "    return before(job, *rest)\n"
        "work._run = made\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *_path()]))
    found = run_batch(cleaning(), workers=1, threads=1, tries=2)
    assert (found.done, list(found.failed)) == (2, ["out/b.png"])
    assert found.failed["out/b.png"].startswith("quarantined after 2 tries: its worker was lost")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(_path()))
    assert list(run_batch(cleaning(), workers=1, threads=1).failed) == ["out/b.png"]
    assert run_batch(cleaning(), workers=1, threads=1, existing="overwrite").made == 3


def _path():
    """Where this process finds modules."""
    import sys

    return [place for place in sys.path if place]


def test_the_manifest_belongs_to_one_run(folder):
    account = Manifest("out/x.sqlite")
    with pytest.raises(ImpastoError, match="must belong to one run at a time"):
        Manifest("out/x.sqlite")
    account.close()
    Manifest("out/x.sqlite").close()


def test_a_file_that_is_no_manifest_is_refused_and_kept(folder):
    (folder / "x.sqlite").write_text("something else entirely, and long enough to be no database")
    with pytest.raises(ImageError, match="the manifest must be a file that can be written"):
        Manifest("x.sqlite")
    assert (folder / "x.sqlite").read_text().startswith("something else")


def with_broken_manifest(break_it):
    """The manifest of a finished batch, after some SQL."""
    run_batch(cleaning(), executor="inline", threads=1)
    with sqlite3.connect(f"out/{NAME}") as database:
        database.executescript(break_it)
    database.close()
    return files(Path("out"))


@pytest.mark.parametrize(
    "break_it",
    [
        "UPDATE facts SET value = 'not json'",
        "UPDATE facts SET value = '[1]' WHERE name = 'threads'",
        "UPDATE pictures SET attempts = 'x', seconds = 'y'",
        "UPDATE pictures SET seen = x'ff', written = 7, status = x'00'",
        "UPDATE pictures SET job = CAST(x'fffe' AS TEXT)",
        "ALTER TABLE pictures DROP COLUMN written",
        "ALTER TABLE pictures DROP COLUMN attempts",
        "DROP TABLE facts",
    ],
)
def test_a_manifest_with_wrong_rows_costs_no_finished_picture(folder, break_it):
    before = with_broken_manifest(break_it)
    progress = run_batch(cleaning(), executor="inline")
    assert (progress.done, progress.made, progress.failed) == (3, 0, {})
    assert files(folder / "out") == before


@pytest.mark.parametrize("table", ["CREATE TABLE pictures (id)", None])
def test_a_manifest_that_is_none_is_one_sentence(folder, capsys, table):
    (folder / "out").mkdir()
    if table:
        with sqlite3.connect(f"out/{NAME}") as database:
            database.execute(table)
        database.close()
    else:
        with_broken_manifest("SELECT 1")
        data = bytearray((folder / "out" / NAME).read_bytes())
        data[4096:] = b"\xff" * len(data[4096:])
        (folder / "out" / NAME).write_bytes(data)
    before = files(folder / "out")
    assert main(["batch", "denoise", "in", "-o", "out", "--executor", "inline"]) == 1
    said = capsys.readouterr().err
    assert "the manifest must be a file that can be written" in said
    assert "finished pictures are recognized without it" in said
    assert files(folder / "out") == before


def test_a_manifest_that_cannot_be_written_stops_no_work(folder, capsys, monkeypatch):
    broken = []

    def executemany(self, sql, rows):
        list(rows)
        broken.append(sql)
        self.execute("ROLLBACK")  # as SQLite does by itself
        raise sqlite3.OperationalError("database or disk is full")

    class Connection(sqlite3.Connection):
        pass

    connect = sqlite3.connect
    words = ["batch", "denoise", "in", "-o", "out", "--executor", "inline"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "impasto.batch.manifest.sqlite3.connect",
            lambda *a, **k: connect(*a, factory=Connection, **k),
        )
        patch.setattr(Connection, "executemany", executemany, raising=False)
        assert main(words) == 0
    said = capsys.readouterr().err
    assert "3 of 3 done" in said
    assert "database or disk is full; make room for it" in said
    assert len(broken) == 7
    before = files(folder / "out")
    assert main(words) == 0  # the pictures tell what is done
    assert "0 of them now" in capsys.readouterr().err
    assert files(folder / "out") == before


ODD_NAMES = ("a\\b.png", "a\nb.png", "a\x1b[31m.png", os.fsdecode(b"\xff\xe9.png"), "a\u2028b.png")


@pytest.mark.parametrize("method", ["denoise", "style"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_file_name_ends_no_batch(folder, capsys, method, name):
    (folder / "in" / "b.png").rename(folder / "in" / name)
    (folder / "in" / "deep" / "a.png").write_bytes(b"broken")
    style = ["--style", "one.png", "--size", "32", "--steps", "1"] if method == "style" else []
    words = ["batch", method, "in", "-o", "out", "--executor", "inline", *style]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert "2 of 3 done" in said
    assert "out/deep/a.png: " in said
    recorded = read_provenance(open_image(folder / "out" / name).metadata.recipe)
    assert recorded.inputs.content.name == recorded_name(name)
    assert main(words) == 3
    assert "2 of 3 done, 0 of them now" in capsys.readouterr().err


def test_ending_a_run_keeps_what_is_done(folder):
    import threading

    asked = threading.Event()

    def watch(progress):
        if progress.made:
            asked.set()

    found = run_batch(cleaning(), executor="inline", threads=1, on_progress=watch, stop=asked)
    assert (found.made, found.left, found.stopped) == (1, 2, True)
    assert run_batch(cleaning(), executor="inline", threads=1).made == 2


def test_remote_places_work_as_folders_do(folder):
    import fsspec

    there = fsspec.filesystem("memory")
    for name in ("a.png", "deep/b.png"):
        there.pipe_file(f"/bucket/in/{name}", (folder / "in" / "a.png").read_bytes())
    plan = cleaning(contents=("memory://bucket/in",), output="memory://bucket/out")
    found = run_batch(plan, executor="inline", threads=1, manifest="here.sqlite")
    assert (found.made, found.failed) == (2, {})
    assert sorted(there.find("/bucket/out")) == ["/bucket/out/a.png", "/bucket/out/deep/b.png"]
    run_batch(cleaning(contents=("in/a.png",)), executor="inline", threads=1)
    assert there.cat("/bucket/out/a.png") == (folder / "out" / "a.png").read_bytes()
    assert run_batch(plan, executor="inline", manifest="here.sqlite").made == 0
    there.rm("/bucket", recursive=True)


def test_a_plan_from_a_file(folder, capsys):
    (folder / "plan.toml").write_text(
        'contents = "in"\nstyles = ["one.png"]\noutput = "out"\nformat = "jpg"\n'
        "[recipe]\nsize = 32\nsteps = 1\n"
    )
    assert read_plan("plan.toml") == painting(format=".jpg")
    assert main(["batch", "run", "plan.toml", "--executor", "inline", "--quiet"]) == 0
    assert set(files(folder / "out")) == {"a.jpg", "b.jpg", "deep/a.jpg"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('contents = "in"', "`output` must be a folder, got None"),
        ('contens = "in"\noutput = "o"', "did you mean contents?"),
        ('contents = 3\noutput = "o"', "`contents` must be a list of places, got 3"),
        (
            'contents = "in"\noutput = "o"\nmethod = "frame"',
            "`method` must be one of style, denoise",
        ),
        ('contents = "in"\noutput = "o"\n[recipe]\nstrength = 3', "`strength` must be at most 1"),
        ('contents = "in"\noutput = "o"\nformat = "gif"', "`format` must be one of .png"),
        ('output = "o"', "`contents` must be at least one picture, got none"),
        ("contents = [", "`plan` must be a readable TOML file"),
        (
            'contents = "in"\noutput = "o"\nmethod = ["x"]',
            "`method` must be one of style, denoise, apply, got",
        ),
        ('contents = "in"\noutput = "o"\n[recipe]\neffort = {a = 1}', "`effort` must be one of"),
        ('styles = "s"\noutput = "o"\nrecipe.preset = []', "`preset` must be one of default"),
        (
            'contents = "in"\nstyles = "s"\noutput = "o"\nrecipe.presets = {}',
            "`presets` must be an",
        ),
        ('contents = "in"\noutput = "o"\n[recipe]\nseed = true', "`seed` must be a whole number"),
        (
            'contents = "in"\noutput = "o\\u0000"',
            "`output` must be a place, got 'o\\x00' with a NUL",
        ),
        ('contents = "i\\u0000"\noutput = "o"', "`contents` must be a place"),
    ],
)
def test_what_cannot_be_a_plan_is_one_sentence(folder, capsys, text, said):
    (folder / "plan.toml").write_text(text)
    assert main(["batch", "run", "plan.toml"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (folder / "o").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--executor", "cloud"], "`executor` must be one of processes, inline, ray, got 'cloud'"),
        (["--address", "auto"], "`address` must go with executor ray, got 'auto' with processes"),
        (["--workers", "0"], "`workers` must be at least 1, got 0"),
        (["--threads", "9" * 30], "`threads` must be at most 4096, got 999"),
        (["--existing", "ask"], "`existing` must be one of resume, skip, overwrite, fail"),
        (["--executor", "inline", "--workers", "2"], "`workers` must be 1 inline, got 2"),
        (["--format", "gif"], "`format` must be one of .png"),
        (["--sigma", "-1"], "`sigma` must be"),
    ],
)
def test_wrong_options_are_one_sentence_before_any_work(folder, capsys, words, said):
    assert main(["batch", "denoise", "in", "-o", "out", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_dry_run_counts_and_writes_nothing(folder, capsys):
    words = ["-s", "one.png", "-o", "out", "--size", "32", "--steps", "2", "--dry-run", "--json"]
    assert main(["batch", "style", "in", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pictures"], told["there_already"]) == (3, 0)
    assert told["seconds"] > 0
    assert told["memory_gib"] > 0
    assert not (folder / "out").exists()


def test_a_picture_too_large_for_its_format_is_refused_before_the_work(folder, capsys):
    Image.fromarray(np.zeros((16, 16_400, 3), np.uint8)).save("in/long.png")
    words = ["batch", "denoise", "in/long.png", "in/a.png", "-o", "out", "--format", "webp"]
    words += ["--executor", "inline", "--device", "cpu"]
    reason = "`output` must have sides of at most 16,383 pixels as WEBP, got 16,400 × 16"
    assert main([*words, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "too large     1" in out
    assert reason in err
    assert main([*words, "--dry-run", "--json"]) == 0
    (place,) = json.loads(capsys.readouterr().out)["too_large"]
    assert "long" in place
    assert main(words) == 3
    assert reason in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "zs-n2n", "zs-n2n-fast"])
def test_a_dry_run_of_cleaning_tells_how_long_it_takes(folder, capsys, method):
    words = ["-o", "out", "--method", method, "--workers", "1", "--dry-run", "--json"]
    assert main(["batch", "denoise", "in/a.png", *words]) == 0
    one = json.loads(capsys.readouterr().out)["seconds"]
    assert one > 0
    assert not (folder / "out").exists()


def test_pictures_are_told_by_content_and_the_rest_is_named(folder, capsys):
    inside = folder / "in"
    with Image.open(inside / "a.png") as image:
        for name, format in (
            ("x.jfif", "JPEG"),
            ("no-ending", "WEBP"),
            ("y.gif", "GIF"),
            ("z.BMP", "BMP"),
        ):
            image.convert("RGB").save(inside / name, format)
    (inside / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (inside / "a.NEF").write_bytes(b"II*\0")  # would take the name of a.png's result
    (inside / "deep" / "notes.txt").write_text("no picture")
    (inside / ".hidden").write_text("not mentioned")
    (inside / "a.png.impasto.json").write_text("{}")
    names = [os.path.basename(job.inputs["content"]) for job in plan_jobs(cleaning())]
    assert names == ["a.png", "b.png", "a.png", "no-ending", "x.jfif", "y.gif", "z.BMP"]
    words = ["batch", "denoise", "in", "-o", "out", "--executor", "inline"]
    sentence = (
        "impasto: left out 3 files that are no picture to read: in/a.NEF (a raw photograph), "
        "in/c.heic (a HEIC), in/deep/notes.txt\n"
    )
    assert main([*words, "--dry-run"]) == 0
    dry = capsys.readouterr()
    assert sentence in dry.err
    assert "pictures      7" in dry.out
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["done"], len(facts["left_out"])) == (7, 3)
    assert main(words) == 0
    assert sentence in capsys.readouterr().err
    (folder / "phone").mkdir()
    (inside / "c.heic").rename(folder / "phone" / "c.heic")
    with pytest.raises(ImageError, match=r"none was found but phone/c\.heic \(a HEIC\); choose"):
        plan_jobs(cleaning(contents=("phone",)))


def test_what_is_left_out_is_said_counted_and_kept_in_the_manifest(folder, capsys):
    for name in ("a", "b"):
        with Image.open(folder / "in" / f"{name}.png") as image:
            exif = Image.Exif()
            exif[271] = "Maker"
            iptc = b"\x1c\x02\x05\0\x03Cat"
            photoshop = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc
            photoshop = b"Photoshop 3.0\0" + photoshop
            segment = b"\xff\xed" + struct.pack(">H", len(photoshop) + 2) + photoshop
            data = io.BytesIO()
            image.convert("RGB").save(data, "JPEG", exif=exif)
            data = data.getvalue()
            (folder / "in" / f"{name}.jpg").write_bytes(data[:2] + segment + data[2:])
        (folder / "in" / f"{name}.png").unlink()
    words = ["batch", "denoise", "in/a.jpg", "in/b.jpg", "--executor", "inline", "-o", "out"]
    words += ["--format", "webp"]
    note = "left out, as .webp does not hold it: its IPTC records"
    line = f"impasto: 2 files: {note} (out/a.webp, out/b.webp)\n"
    assert main([*words, "--dry-run"]) == 0
    assert line in capsys.readouterr().err
    assert main(words) == 0
    assert line in capsys.readouterr().err
    manifest = Manifest(folder / "out" / NAME)
    rows = manifest.load()
    manifest.close()
    assert json.loads(rows["out/a.webp"].notes) == {"out/a.webp": [note]}
    # What is done already is told of as well.
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["made"], report["notes"]) == (0, {f"out/{name}.webp": [note] for name in "ab"})
    # Without metadata it is another picture, made once, of which nothing else is left out.
    for made in (2, 0):
        assert main([*words, "--strip", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["made"], report["notes"]) == (made, {})
    image = open_image("out/a.webp")
    assert image.metadata.exif is None
    assert json.loads(image.metadata.recipe)["output"]["strip"] is True
    (folder / "out" / NAME).unlink()
    for strip, made in ((["--strip"], 0), ([], 2)):
        assert main([*words, *strip, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["made"] == made


def test_metadata_is_stripped_by_a_plan_too_but_not_from_measured_data(folder, capsys):
    lines = ['method = "denoise"', 'contents = ["in/a.png"]', 'output = "out"', "strip = true"]
    (folder / "plan.toml").write_text("\n".join(lines))
    assert read_plan("plan.toml").strip is True
    (folder / "wrong.toml").write_text("\n".join(lines).replace("true", "1"))
    with pytest.raises(ValueError, match=r"`strip` must be true or false, got 1 in wrong\.toml"):
        read_plan("wrong.toml")
    tifffile.imwrite("cells.tif", np.zeros((2, 32, 40), np.uint16), imagej=True)
    words = ["batch", "denoise", "cells.tif", "-o", "out", "--executor", "inline", "--strip"]
    assert main(words) == 1
    assert "`strip` must be left out for a TIFF of measured data" in capsys.readouterr().err


def test_every_input_is_read_once(folder, monkeypatch):
    from impasto.images import read

    paths = []
    real = read.read_with

    def read_with(path, *rest, **words):
        paths.append(str(path))
        return real(path, *rest, **words)

    monkeypatch.setattr(read, "read_with", read_with)
    run_batch(cleaning(contents=("in/a.png", "in/b.png")), executor="inline")
    assert sorted(paths) == ["in/a.png", "in/b.png"]
    paths.clear()
    recipe = style_recipe(size="original", steps=1)
    sources = {"contents": ("in/a.png", "in/b.png"), "styles": ("one.png", "two.png")}
    estimate_batch(painting(recipe=recipe, **sources))
    assert paths.count("in/b.png") == 1
