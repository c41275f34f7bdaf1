"""Makes pages of the site when it is built: commands, recipes, and what each public name does.

A hook of MkDocs, named in mkdocs.yml. What it writes is read from the commands, the recipes and the
docstrings, so that it stands nowhere twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click
from mkdocs.structure.files import File, Files

import impasto
from impasto.cli.main import impasto as command_line
from impasto.cli.options import format_value
from impasto.methods import METHODS
from impasto.recipes import FitRecipe
from impasto.validation import describe_constraint


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {
        "commands.md": commands_page(),
        "recipes.md": recipes_page(),
        "reference.md": reference_page(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def commands_page() -> str:
    """Return the help of every command."""
    parts = [
        "# Commands",
        "The help of each, as `--help` prints it. What they have in common, such as exit codes, is "
        "in [all features](features.md#commands).",
    ]
    for words, command in walk_commands(command_line, "impasto"):
        width = {"terminal_width": 100, "max_content_width": 100}
        text = command.get_help(click.Context(command, info_name=words, **width))
        parts += [f"{'#' * min(len(words.split()) + 1, 3)} {words}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def walk_commands(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those in it, each with its words."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk_commands(command.get_command(context, name), f"{words} {name}")


def recipes_page() -> str:
    """Return a table of every recipe: its options, ranges, defaults and what they do."""
    parts = [
        "# Recipes",
        "Every option once. A recipe is stored in what it made; its form is the JSON schema "
        "[recipe.schema.json](recipe.schema.json), which `impasto rerun --schema` prints, too.",
    ]
    recipes = dict.fromkeys([*(method.recipe for method in METHODS.values()), FitRecipe])
    for recipe in recipes:
        parts.append(f"## {recipe.__name__}")
        parts.append(inspect.getdoc(recipe) or "")
        rows = ["| option | must be | default | |", "|---|---|---|---|"]
        for name, field in recipe.model_fields.items():
            default = format_value(field.get_default(call_default_factory=True))
            cells = (f"`{name}`", describe_constraint(field), f"`{default}`", field.description)
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def reference_page() -> str:
    """Return the page on which mkdocstrings puts the docstrings of all public names."""
    parts = [
        "# Functions and classes",
        "From the docstrings; [public names](api.md) is the list by purpose.",
    ]
    things = {name: getattr(impasto, name) for name in impasto.__all__}
    functions = [name for name, thing in things.items() if inspect.isfunction(thing)]
    classes = [name for name, thing in things.items() if inspect.isclass(thing)]
    for title, names in (("Functions", functions), ("Classes", classes)):
        parts.append(f"## {title}")
        parts += [f"::: impasto.{name}" for name in names]
    return "\n\n".join(parts) + "\n"
