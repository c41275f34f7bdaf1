"""The container file: it runs without root, and only jobs are written."""

from pathlib import Path

TEXT = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8")


def test_the_last_stage_runs_as_a_user_with_a_chosen_token():
    last = TEXT.rpartition("\nFROM ")[2].splitlines()
    instructions = [line.split(None, 1) for line in last if line and line[0].isupper()]
    names = [name for name, *_ in instructions]
    (user,) = [rest for name, rest in instructions if name == "USER"]
    assert int(user) > 0
    assert names.index("USER") < names.index("CMD")
    assert "RUN" not in names[names.index("USER") :]
    (command,) = [rest for name, rest in instructions if name == "CMD"]
    assert "IMPASTO_TOKEN:?" in command
    assert "--folder /jobs" in command


def test_how_to_run_it_says_a_root_that_is_only_read():
    comments = "\n".join(line for line in TEXT.splitlines() if line.startswith("#"))
    for word in ("--read-only", "--cap-drop ALL", "no-new-privileges", "-p 127.0.0.1:8765:8765"):
        assert word in comments
