"""Fixtures: a server to ask, and a stage in place of the work of jobs."""

import pytest
from stage import Staged, asking


@pytest.fixture
def client(tmp_path):
    """A server."""
    with asking(tmp_path / "jobs") as client:
        yield client


@pytest.fixture
def staged(monkeypatch):
    """Jobs that do nothing until they are told to end."""
    work = Staged()
    monkeypatch.setattr("impasto.serve.results.make_result", work)
    return work
