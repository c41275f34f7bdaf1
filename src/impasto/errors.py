"""Exceptions that impasto raises.

    Exception
    ├── ImpastoError                 a file, the weights, memory, a server: the world outside
    │   ├── ImageError               an image cannot be read or written
    │   │   └── ImageFileError       a file is not an image that can be used
    │   ├── WeightsError             the weights of VGG-19 are missing, altered or out of reach
    │   ├── ModelError               a file is not a fitted model (impasto.models.model_file)
    │   ├── MemoryShortageError      even the smallest piece of work does not fit into memory
    │   └── RequestError             `impasto serve` refuses a request (impasto.serve.problems)
    ├── ValueError                   an argument has a wrong value
    │   └── OptionError              an option of a recipe has a wrong value
    └── TypeError                    an argument has a wrong type

Each message is one sentence: "`name` must be X, got Y; way out". `OptionError` and
`ImageFileError` keep its parts as attributes, so that the command line and the server can
word a sentence of their own from them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_QUOTED = 200  # characters of a value in a sentence
MAX_NAME = 40  # of a name that a file or a request brings
MAX_SENTENCE = 2000  # characters of a sentence


def printable(text: str) -> str:
    r"""Escape what a terminal would obey or hide instead of showing it.

    Control characters, line breaks, marks that turn the direction of writing, characters of no
    width and bytes that are not UTF-8 become escapes as in Python's strings. Spaces of all widths
    and every script stay.

    Example:
        >>> printable("a\x1b[31m b\nc \u202e é 中")
        'a\\x1b[31m b\\nc \\u202e é 中'
    """
    if text.isprintable():
        return text
    return "".join(map(_printable_character, text))


def shorten(text: str, limit: int = MAX_QUOTED) -> str:
    """Leave out the middle of a text that is too long.

    Example:
        >>> shorten("a" * 20 + "b" * 20, 9)
        'aaaaa…bbb'
    """
    if len(text) <= limit:
        return text
    end = (limit - 1) * 2 // 5
    return f"{text[: limit - 1 - end]}…{text[-end:]}"


def quote(value: object) -> str:
    r"""Return a value as sentences quote it: like `repr`, but never longer than `MAX_QUOTED`.

    Example:
        >>> quote("a\x1b"), len(quote("a" * 5000))
        ("'a\\x1b'", 200)
    """
    try:
        return shorten(printable(repr(value)))
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists
        return f"<{type(value).__name__}>"


def quoted_name(name: object) -> str:
    r"""Return a name from outside, such as a key of a file, as sentences show it.

    Example:
        >>> quoted_name("steps"), quoted_name("a\nb")
        ('steps', 'a\\nb')
    """
    return shorten(printable(str(name)), MAX_NAME)


def _printable_character(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()


class ImpastoError(Exception):
    """Base class of all errors that do not come from an argument; each is one printable line."""

    def __str__(self) -> str:
        sentence = " ".join(super().__str__().splitlines())
        return shorten(printable(sentence), MAX_SENTENCE)


class ImageError(ImpastoError):
    """An image cannot be read or written."""


class ImageFileError(ImageError):
    """A file is not an image that can be used.

    Attributes:
        argument: name of the argument that the file was given for.
        constraint: what follows "must" in the sentence, such as `be a readable picture`.
        file: name of the file as the sentence shows it.
        problem: the rest of the sentence, after the name of the file.

    Example:
        >>> problem = ": it is a folder; choose a file"
        >>> error = ImageFileError("content", "be a readable picture", "/tmp/a", problem)
        >>> str(error)
        '`content` must be a readable picture, got /tmp/a: it is a folder; choose a file'
        >>> error.sentence(file="cat.png")
        '`content` must be a readable picture, got cat.png: it is a folder; choose a file'
    """

    def __init__(self, argument: str, constraint: str, file: str, problem: str) -> None:
        super().__init__(argument, constraint, file, problem)
        self.argument = argument
        self.constraint = constraint
        self.file = file
        self.problem = problem

    def sentence(self, file: str) -> str:
        """Return the message with another name of the file."""
        name = shorten(file)
        sentence = f"`{self.argument}` must {self.constraint}, got {name}{self.problem}"
        return shorten(printable(sentence), MAX_SENTENCE)

    def __str__(self) -> str:
        return self.sentence(self.file)


class WeightsError(ImpastoError):
    """The weights of VGG-19 are missing, altered or out of reach."""


class MemoryShortageError(ImpastoError):
    """Even the smallest piece of work does not fit into memory."""


class OptionError(ValueError):
    """An option of a recipe has a wrong value.

    Attributes:
        option: name of the option.
        value: the value that was given.
        constraint: what follows "must" in the sentence, such as `be at most 1`.
        hint: the way out; None for the list of all options, which each front end names itself.
        recipe: class name of the recipe.
        part: the part of the option that is wrong, such as `the weight of relu4_1`.
        place: where the option stands, such as a preset of a file.

    Example:
        >>> error = OptionError("strength", 7, "be at most 1", recipe="StyleRecipe")
        >>> str(error)
        '`strength` must be at most 1, got 7; see StyleRecipe for every option'
        >>> error.sentence("see `impasto style --help` for every option")
        '`strength` must be at most 1, got 7; see `impasto style --help` for every option'
    """

    def __init__(
        self,
        option: str,
        value: object,
        constraint: str,
        hint: str | None = None,
        recipe: str = "",
        part: str = "",
        place: str = "",
    ) -> None:
        # All of them are `args`, so that a worker process can send the error back (pickle).
        super().__init__(option, value, constraint, hint, recipe, part, place)
        self.option = option
        self.value = value
        self.constraint = constraint
        self.hint = hint
        self.recipe = recipe
        self.part = part
        self.place = place

    def sentence(self, all_options: str) -> str:
        """Return the message, with a front end's words for where all options are listed."""
        part = f": {self.part}" if self.part else ""
        place = f", in {self.place}" if self.place else ""
        hint = self.hint or all_options
        name = shorten(self.option)
        value = quote(self.value)
        sentence = f"`{name}`{part} must {self.constraint}, got {value}; {hint}{place}"
        return shorten(printable(sentence), MAX_SENTENCE)

    def at(self, place: str) -> OptionError:
        """Return the same error with the place where the option stands."""
        return OptionError(*self.args[:-1], place)

    def __str__(self) -> str:
        return self.sentence(f"see {self.recipe} for every option")


def join_some(names: Sequence[str], most: int = 5) -> str:
    """Join names for a sentence: the first few, and how many more there are.

    Example:
        >>> join_some(["a.gif", "b.gif", "c.gif"], most=2)
        'a.gif, b.gif and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
