"""Sentences: what is quoted in them is escaped and short."""

import pytest

from impasto.errors import ImageError, ImageFileError, OptionError, printable, quote, shorten


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 中 \u202f\u3000\xa0 ×…", "é 中 \u202f\u3000\xa0 ×…"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x7f\x85\x9b", r"\x7f\x85\x9b"),
        ("\u202egnp.exe\u2066\u200b\ufeff", r"\u202egnp.exe\u2066\u200b\ufeff"),
        ("\u2028\U000e0041", r"\u2028\U000e0041"),
        ("\udcff\ud800", r"\xff\ud800"),
    ],
)
def test_what_a_terminal_obeys_or_hides_is_escaped(text, shown):
    assert printable(text) == shown


def test_long_values_are_shortened_in_the_middle():
    assert shorten("x" * 200) == "x" * 200
    assert len(quote("x" * 5000)) == 200
    assert quote({"a": "y" * 5000}).startswith("{'a': 'yyy")
    assert quote({"a": "y" * 5000}).endswith("yyy'}")


def test_every_error_of_the_world_outside_is_a_printable_line():
    assert str(ImageError("a\n\x1b[31m" + "x" * 5000)).startswith(r"a \x1b[31mxxx")
    assert len(str(ImageError("x" * 5000))) == 2000


@pytest.mark.parametrize(
    "error",
    [
        OptionError("strength", "\x1b[31m" + "x" * 5000, "be a number", recipe="StyleRecipe"),
        OptionError("\x1b[31m" + "x" * 5000, 1, "be an option", "choose\nanother"),
        OptionError("style_layers", 1, "be 1", part="the weight of \x1b" + "x" * 5000),
        ImageFileError("content", "be a picture", "\x1b\n\u202e" + "x" * 5000, ": it is none"),
    ],
)
def test_a_sentence_is_one_short_printable_line(error):
    assert str(error).isprintable()
    assert len(str(error)) < 2500
    assert str(error).startswith("`")
