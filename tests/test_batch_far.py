"""Batches beyond this process: on a Ray cluster that loses a node, from and to an S3 server."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from impasto.batch.plan import BatchPlan
from impasto.batch.run import run_batch
from impasto.presets import style_recipe
from impasto.recipes import DenoiseRecipe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with pictures in `in`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(6):
        values = np.random.default_rng(number).integers(90, 166, (40, 48, 3), np.uint8)
        Image.fromarray(values).save(tmp_path / "in" / f"{number}.png")
    return tmp_path


def plan(output, source="in"):
    """A plan that cleans them."""
    return BatchPlan("denoise", (str(source),), (), str(output), DenoiseRecipe())


def painting(output):
    """A plan that paints two of them, in a moment."""
    recipe = style_recipe(size=32, steps=1)
    return BatchPlan("style", ("in/0.png", "in/1.png"), ("in/2.png",), str(output), recipe)


def pictures(folder):
    """Every picture of a folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_cluster_that_loses_a_node_gives_the_same_bytes(folder):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    run_batch(plan("inline"), executor="inline", threads=1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        only_node = cluster.add_node(num_cpus=1)  # whatever runs first, runs there
        ray.init(address=cluster.address, log_to_driver=False)
        removed = threading.Event()

        def watch(progress):
            if progress.running and not removed.is_set():
                removed.set()
                cluster.add_node(num_cpus=1)
                cluster.add_node(num_cpus=1)
                cluster.remove_node(only_node, allow_graceful=False)

        progress = run_batch(
            plan("ray"),
            executor="ray",
            address=cluster.address,
            workers=2,
            threads=1,
            on_progress=watch,
        )
        assert removed.is_set()
        assert (progress.done, progress.failed) == (6, {})
        run_batch(painting("painted-ray"), executor="ray", threads=1)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert pictures(folder / "ray") == pictures(folder / "inline")
    run_batch(painting("painted-inline"), executor="inline", threads=1)
    run_batch(painting("painted-processes"), workers=2, threads=1)
    assert len(pictures(folder / "painted-inline")) == 2
    for other in ("painted-ray", "painted-processes"):
        assert pictures(folder / other) == pictures(folder / "painted-inline")


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on this machine, with an empty bucket; gives the file system."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    there = s3fs.S3FileSystem()
    there.mkdir("pictures")
    yield there
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the back end and of the server
def test_from_and_to_an_object_store(folder, bucket):
    for path in (folder / "in").iterdir():
        bucket.put_file(str(path), f"pictures/in/deep/{path.name}")
    bucket.pipe_file("pictures/in/bad.png", b"no picture")
    run_batch(plan("here"), executor="inline", threads=1)
    far = plan("s3://pictures/out", "s3://pictures/in")
    for executor in ("inline", "processes"):
        found = run_batch(
            far, executor=executor, threads=1, manifest="far.sqlite", existing="overwrite"
        )
        assert (found.made, len(found.failed)) == (6, 1)
        for name, data in pictures(folder / "here").items():
            assert bucket.cat(f"pictures/out/deep/{name}") == data
    again = run_batch(far, executor="inline", manifest="far.sqlite")
    assert (again.done, again.made) == (6, 0)
    (folder / "far.sqlite").unlink()
    assert run_batch(far, executor="inline", manifest="far.sqlite").made == 0
    assert not list(folder.glob("**/*.tmp"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_run_on_a_cluster_that_was_killed_goes_on(folder):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    run_batch(plan("inline"), executor="inline", threads=1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    words = ["batch", "denoise", "in", "-o", "ray", "--executor", "ray", "--threads", "1"]
    command = [sys.executable, "-m", "impasto", *words, "--address", cluster.address]
    try:
        driver = subprocess.Popen(command)
        until = time.monotonic() + 120
        while not pictures(folder / "ray") and time.monotonic() < until:
            time.sleep(0.01)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        before = pictures(folder / "ray")
        assert 1 <= len(before) < 6
        subprocess.run(command, check=True)
    finally:
        cluster.shutdown()
    assert pictures(folder / "ray") == pictures(folder / "inline")
    assert before.items() <= pictures(folder / "ray").items()
    assert not (folder / "ray" / ".impasto-work").exists()
