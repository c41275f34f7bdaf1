"""README and docs/: every command, option, file, benchmark and public name they show exists."""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

import impasto
from impasto.cli.main import impasto as command_line

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# The log tells of earlier versions; their options need not exist any more.
CURRENT = [page for page in PAGES if page.name != "log.md"]
IDS = [page.name for page in PAGES]
CURRENT_IDS = [page.name for page in CURRENT]

INLINE = re.compile(r"`([^`\n]+)`")
# Options of other programs and of shell commands that the pages show.
FOREIGN = {
    *("--head", "--port", "--node-ip-address", "--address", "--generate"),
    *("--user", "--now", "--export", "--strict", "--newest"),
}


def code_blocks(text):
    """The lines of fenced and indented code blocks, continued lines joined."""
    fenced = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.M | re.S)
    indented = re.findall(
        r"^ {4}(\S.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M
    )
    for block in [*fenced, *indented]:
        yield from block.replace("\\\n", " ").splitlines()


def prose(text):
    """The text without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def command_lines(page, program):
    """Word lists of every command line of `program` that a page shows."""
    text = page.read_text(encoding="utf-8")
    for line in [*code_blocks(text), *INLINE.findall(prose(text))]:
        for part in re.split(r"&&|\|", line.replace("…", "")):
            words = shlex.split(part, comments=True) if part.count("'") % 2 == 0 else part.split()
            if words[: len(program)] == program:
                yield words[len(program) :]


@cache
def options_of(command):
    """Every option string that a click command accepts."""
    return {
        text
        for parameter in command.get_params(click.Context(command))
        for text in [*parameter.opts, *parameter.secondary_opts]
    }


@cache
def all_commands():
    """Every command and subcommand by its words."""
    commands = {}

    def walk(words, command):
        commands[words] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                walk((*words, name), command.get_command(context, name))

    walk((), command_line)
    return commands


@pytest.mark.parametrize("page", CURRENT, ids=CURRENT_IDS)
def test_every_command_and_its_options_exist(page):
    for words in command_lines(page, ["impasto"]):
        names = []
        while tuple([*names, *words[:1]]) in all_commands() and words:
            names.append(words.pop(0))
        options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        known = names or not words or words[0] in ("COMMAND", "--help")
        assert known, f"impasto {' '.join(words)}"
        assert set(options) <= options_of(all_commands()[tuple(names)]), f"{names} {words}"


@pytest.mark.parametrize("page", CURRENT, ids=CURRENT_IDS)
def test_every_option_in_the_text_exists(page):
    known = set().union(*(options_of(command) for command in all_commands().values())) | FOREIGN
    for code in INLINE.findall(prose(page.read_text(encoding="utf-8"))):
        if not code.startswith(("python ", "pip ", "ray ")):
            options = set(re.findall(r"(?<!\S)--[a-z][a-z-]+", code))
            assert options <= known, f"{page.name}: {code}"


def test_every_command_is_described():
    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    for words in all_commands():
        if len(words) == 1:
            assert f"`impasto {words[0]}`" in text


def test_every_page_is_on_the_site():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("nav:")[1]
    made = {"commands.md", "recipes.md", "reference.md"}  # by docs/site_pages.py
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"[\w-]+\.md", nav)) == pages | made


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_linked_file_exists(page):
    text = prose(page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?://|#", target):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_script_exists_and_has_the_options_shown(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?:benchmarks|docs|examples|tests)/[\w/]+\.py", text):
        assert (ROOT / name).is_file(), f"{page.name}: {name}"
    for script, *words in command_lines(page, ["python"]):
        if script.endswith(".py"):
            source = (ROOT / script).read_text(encoding="utf-8")
            for word in words:
                if word.startswith("--"):
                    assert f'"{word}"' in source, f"{page.name}: {script} {word}"


def test_every_figure_names_its_benchmark():
    rows = 0
    for page in (ROOT / "docs" / "benchmarks.md", ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
            head, _, *lines = table.splitlines()
            if "measured" not in head:
                continue
            for line in lines:
                rows += 1
                script = re.search(r"`python (benchmarks/\w+\.py)[^`]*` \|$", line)
                assert script, f"{page.name}: {line}"
                assert (ROOT / script[1]).is_file(), script[1]
                if page.name == "benchmarks.md":
                    assert re.search(r"\| 20\d\d-\d\d[^|]* \|", line), f"without a date: {line}"
    assert rows > 30


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert sorted(listed) == impasto.__all__


@pytest.mark.parametrize("page", CURRENT, ids=CURRENT_IDS)
def test_every_dotted_name_can_be_imported(page):
    for name in INLINE.findall(prose(page.read_text(encoding="utf-8"))):
        if re.fullmatch(r"impasto(\.\w+)+", name):
            module, attribute = name.rsplit(".", 1)
            assert hasattr(import_module(module), attribute), f"{page.name}: {name}"


@pytest.mark.parametrize("page", CURRENT, ids=CURRENT_IDS)
def test_every_module_and_test_named_exists(page):
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for name in INLINE.findall(prose(page.read_text(encoding="utf-8"))):
        if re.fullmatch(r"[a-z_]+/[a-z_]+\.py", name):
            folders = (ROOT, ROOT / "src" / "impasto")
            assert any((folder / name).is_file() for folder in folders), f"{page.name}: {name}"
        if re.fullmatch(r"test_\w+", name):
            assert f"def {name}(" in tests, f"{page.name}: {name}"


def test_the_readme_is_short_and_its_file_tree_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 800
    tree = re.search(r"^src/impasto/\n(.*?)^```", text, re.M | re.S)[1].splitlines()
    assert len(tree) > 20
    for line in tree:
        name = line.split()[0].rstrip("/")
        folder = ROOT / "src" / "impasto" if line.startswith("  ") else ROOT
        assert (folder / name).exists(), name


@pytest.mark.slow
def test_the_readme_s_python_runs(tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec"), {})
    noisy, clean = map(float, capsys.readouterr().out.split())
    assert clean > noisy + 3
    assert (tmp_path / "out.png").is_file()
