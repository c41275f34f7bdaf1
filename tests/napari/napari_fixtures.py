"""A real napari without a screen: Qt offscreen, and a virtual X server for OpenGL if there is none.

Without napari, Qt or OpenGL the tests of this folder are skipped.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def display():
    """Give napari a display of its own, with nothing of the user's settings."""
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        yield
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("napari draws with OpenGL, which needs a display or Xvfb")
    out, into = os.pipe()
    words = ["Xvfb", "-displayfd", str(into), "-screen", "0", "1280x960x24", "-nolisten", "tcp"]
    server = subprocess.Popen(
        words, pass_fds=(into,), stderr=subprocess.DEVNULL, preexec_fn=_end_with_parent
    )
    _servers.append(server)
    os.close(into)
    with os.fdopen(out) as reader:
        number = reader.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start")
    os.environ["DISPLAY"] = f":{number}"
    yield
    del os.environ["DISPLAY"]


_servers = []  # Qt ends the process if its server goes first


def _end_with_parent():
    """Let the kernel end this process with the one that started it (prctl's PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@pytest.fixture(scope="session")
def napari_module(display, tmp_path_factory):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("napari") / "settings.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        try:
            import napari
            import napari.layers
            import npe2
            from qtpy.QtWidgets import QApplication
        except ImportError as error:
            pytest.skip(f"napari or its Qt is not installed: {error}")
        application = QApplication.instance() or QApplication(["impasto"])
        import impasto.napari

        manifest = Path(impasto.napari.__file__).with_name("napari.yaml")
        manager = npe2.PluginManager.instance()
        if "impasto" not in manager:  # as its entry point does where impasto is installed
            manager.register(npe2.PluginManifest.from_file(manifest))
        yield napari
        del application


@pytest.fixture
def viewer(napari_module):
    from napari.utils.notifications import notification_manager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notification_manager.records.clear()
        viewer = napari_module.Viewer(show=False)
        yield viewer
        viewer.close()


@pytest.fixture
def wait(viewer):
    """Return a function that lets the viewer live until something is so."""
    from qtpy.QtWidgets import QApplication

    def pump(until, seconds=120):
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "it took too long"
            QApplication.processEvents()
            time.sleep(0.005)

    return pump


@pytest.fixture
def said(viewer):
    """Return a function that gives the notifications so far: severity and words."""
    from napari.utils.notifications import notification_manager

    return lambda: [(one.severity.name, one.message) for one in notification_manager.records]
