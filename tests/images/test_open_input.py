"""What `denoise` is given, as a picture or as a stack."""

import numpy as np
import pytest

from impasto.images.open_input import open_input
from impasto.images.stack import array_stack


def test_a_stack_is_taken_with_the_axes_it_has():
    stack = array_stack(np.zeros((2, 3, 4), np.uint8), "TYX")
    assert open_input(stack) is stack
    assert open_input(stack, "TYX") is stack


def test_a_stack_with_other_axes_is_refused():
    stack = array_stack(np.zeros((2, 3, 4), np.uint8), "TYX")
    with pytest.raises(ValueError, match=r"`axes` must be auto or TYX, .* got 'ZYX'"):
        open_input(stack, "ZYX")
