"""Inputs of `denoise`: images and stacks."""

import hashlib

import numpy as np
import pytest
import tifffile

from impasto.images.image import SourceFile
from impasto.images.open_input import identify_input, open_input
from impasto.images.stack import array_stack
from impasto.provenance import Input, Inputs


def test_a_stack_is_taken_with_the_axes_it_has():
    stack = array_stack(np.zeros((2, 3, 4), np.uint8), "TYX")
    assert open_input(stack) is stack
    assert open_input(stack, "TYX") is stack


def test_a_stack_with_other_axes_is_refused():
    stack = array_stack(np.zeros((2, 3, 4), np.uint8), "TYX")
    with pytest.raises(ValueError, match=r"`axes` must be auto or TYX, .* got 'ZYX'"):
        open_input(stack, "ZYX")


def test_an_input_is_known_by_its_file_or_by_its_values(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    digest = hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest()
    assert identify_input(open_input(tmp_path / "a.tif")) == SourceFile("a.tif", digest)
    array = identify_input(open_input(values, "TYX"))
    assert array.name is None
    assert array == identify_input(open_input(values.copy(), "TYX"))
    assert array != identify_input(open_input(values, "ZYX"))
    assert Inputs(content=array).content == Input(sha256=array.sha256)
