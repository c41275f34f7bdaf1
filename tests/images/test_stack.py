"""Measured data in memory: numbers that come back as they were, axes, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from stack_makers import EXACT, copy_planes, random_data

from impasto.images.stack import TYPES, array_stack


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", EXACT)
def test_untouched_planes_come_back_bit_for_bit(dtype, order):
    data = random_data((3, 2, 5, 7), np.dtype(dtype).newbyteorder(order).str)
    out = copy_planes(array_stack(data, axes="ZCYX"))
    assert out.dtype == data.dtype
    assert out.tobytes() == data.tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["uint32", "int32", "float64"])
def test_wider_numbers_come_back_in_their_type_with_24_bits(dtype, order):
    data = random_data((3, 5, 7), np.dtype(dtype).newbyteorder(order).str)
    out = copy_planes(array_stack(data, axes="TYX"))
    assert out.dtype == data.dtype
    error = np.abs(out.astype(float) - data.astype(float))
    assert (error <= np.abs(data.astype(float)) * 2.0**-23).all()
    small = (data % 2**24).astype(data.dtype) if dtype != "float64" else data.astype("f4")
    again = copy_planes(array_stack(small.astype(data.dtype), axes="TYX"))
    assert again.tobytes() == small.astype(data.dtype).tobytes()


@pytest.mark.parametrize(
    ("dtype", "stored", "value"),
    [
        ("bool", 1, 1),
        ("uint8", 255, 1),
        ("uint16", 65535, 1),
        ("uint16", 4095, 4095 / 65535),
        ("uint32", 2**32 - 1, 1),
        ("int8", -127, -1),
        ("int16", 32767, 1),
        ("int16", -32768, -32768 / 32767),
        ("int32", 2**31 - 1, 1),
        ("float16", 2.5, 2.5),
        ("float32", -3e30, -3e30),
        ("float64", 1000, 1000),
    ],
)
def test_one_is_the_largest_number_of_integers_and_one_of_floats(dtype, stored, value):
    plane = array_stack(np.full((2, 3), stored, dtype)).read_plane(())
    assert plane.dtype == torch.float32
    assert plane.shape == (1, 2, 3)
    assert plane.flatten().tolist() == pytest.approx([value] * 6)


def test_eight_bits_are_the_numbers_that_a_picture_has():
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert torch.equal(array_stack(codes).read_plane(())[0], torch.from_numpy(codes).float() / 255)


@pytest.mark.parametrize(
    ("highest", "ceiling"),
    [
        (0, 1023),
        (255, 1023),
        (1023, 1023),
        (1024, 4095),
        (4095, 4095),
        (4096, 16383),
        (16384, 65535),
        (65535, 65535),
    ],
)
def test_results_stay_in_the_bits_that_the_data_has(highest, ceiling):
    data = np.zeros((3, 8, 8), np.uint16)
    data[1, 2, 3] = highest
    stack = array_stack(data, axes="ZYX")
    assert stack.ceiling == ceiling
    assert stack.to_dtype(torch.full((1, 8, 8), 2.0)).max() == ceiling
    assert stack.to_dtype(torch.full((1, 8, 8), -2.0)).min() == 0


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("bool", 0, 1), ("uint8", 0, 255), ("int8", -128, 127), ("int32", -(2**31), 2**31 - 1)],
)
def test_results_are_clipped_to_their_type(dtype, low, high):
    stack = array_stack(np.zeros((2, 2), dtype))
    out = stack.to_dtype(torch.tensor([[[-9.0, 9.0], [0.0, 0.0]]]))
    assert out.tolist() == [[low, high], [0, 0]]


def test_floats_are_clipped_to_what_is_finite_and_to_nothing_else():
    half = array_stack(np.zeros((1, 2), np.float16))
    assert half.to_dtype(torch.tensor([[[1e9, -1e9]]])).tolist() == [[65504, -65504]]
    single = array_stack(np.zeros((1, 2), np.float32))
    assert single.to_dtype(torch.tensor([[[-5.0, 1e30]]])).tolist() == [[-5, np.float32(1e30)]]


def test_results_are_rounded_to_the_nearest():
    stack = array_stack(np.zeros((1, 4), np.uint8))
    plane = torch.tensor([[[1.4, 1.6, 254.4, 254.6]]]) / 255
    assert stack.to_dtype(plane).tolist() == [[1, 2, 254, 255]]


@pytest.mark.parametrize("axes", [*map("".join, itertools.permutations("ZCYX")), "YXSC", "CYXS"])
def test_planes_are_channels_first_wherever_the_axes_are(axes):
    sizes = {"Z": 4, "C": 2, "S": 3, "Y": 5, "X": 6}
    data = random_data(tuple(sizes[axis] for axis in axes), "int16")
    stack = array_stack(data, axes=axes)
    channels = [axis for axis in axes if axis in "CS"]
    order = [*(axis for axis in axes if axis == "Z"), *channels, "Y", "X"]
    expected = data.transpose([axes.index(axis) for axis in order]).astype(np.float32) / 32767
    expected = expected.reshape(-1, *stack.plane_shape)
    planes = [stack.read_plane(index) for index in stack.plane_indices()]
    assert len(planes) == stack.count == (4 if "Z" in axes else 1)
    assert np.array_equal(torch.stack(planes).numpy(), expected)
    assert copy_planes(stack).tobytes() == data.tobytes()


def test_planes_go_through_the_outer_axes_in_their_order():
    stack = array_stack(np.zeros((2, 4, 3, 5, 6), np.uint8), axes="TCZYX")
    assert list(stack.plane_indices()) == [(t, z) for t in range(2) for z in range(3)]
    assert stack.plane_shape == (4, 5, 6)


def test_a_plane_is_no_window_on_the_data():
    data = np.ones((4, 5), np.float32)
    array_stack(data).read_plane(()).zero_()
    assert data.min() == 1


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((9, 8), "YX"),
        ((9, 8, 1), "YXC"),
        ((9, 8, 4), "YXC"),
        ((3, 9, 4), "YXC"),
        ((4, 9, 8), "CYX"),
        ((5, 9, 8), "ZYX"),
        ((5, 9, 8, 2), "ZYXC"),
    ],
)
def test_an_array_without_names_has_the_usual_axes(shape, axes):
    assert array_stack(np.zeros(shape, np.uint8)).axes == axes


@pytest.mark.parametrize(("shape", "axes"), [((9, 8), "YX"), ((9, 8, 3), "CYX")])
def test_a_tensor_has_its_channels_first(shape, axes):
    values = torch.rand(shape, requires_grad=True)
    stack = array_stack(values)
    assert stack.axes == axes
    assert torch.equal(stack.read_plane(()), values.detach().view(stack.plane_shape))


@pytest.mark.parametrize("dtype", [torch.uint16, torch.bool, torch.int8, torch.bfloat16])
def test_tensors_of_any_type_are_taken(dtype):
    values = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    values = copy_planes(array_stack(values))
    assert values.tolist() == [[0, 1], [1, 0]]


def test_five_axes_are_read_where_they_are_named():
    data = random_data((2, 3, 4, 5, 6), "uint8")
    stack = array_stack(data, axes="TZCYX")
    assert np.array_equal((stack.read_plane((1, 2)) * 255).round().numpy(), data[1, 2])


KNOWN = ", ".join(TYPES)


@pytest.mark.parametrize(
    ("source", "axes", "sentence"),
    [
        (
            np.zeros((2, 3, 4, 5, 6), np.uint8),
            None,
            "`noisy` must be 2 or 3 axes, or 4 with channels last where `axes` do not name them, "
            "got shape (2, 3, 4, 5, 6); name them, TCZYX for example",
        ),
        (
            torch.zeros(2, 3, 4, 5),
            None,
            "`noisy` must be (H, W) or (C, H, W) where `axes` do not name them, "
            "got shape (2, 3, 4, 5); name them, CZYX for example",
        ),
        (
            np.zeros((4, 5), np.uint8),
            "ZYX",
            "`axes` must be 2 different capital letters with Y and X among them, got 'ZYX'; "
            "name each axis of shape (4, 5), YX for example",
        ),
        (
            np.zeros((4, 5, 6), np.uint8),
            "YYX",
            "`axes` must be 3 different capital letters with Y and X among them, got 'YYX'; "
            "name each axis of shape (4, 5, 6), ZYX for example",
        ),
        (
            np.zeros((4, 5, 6), np.uint8),
            "ZTX",
            "`axes` must be 3 different capital letters with Y and X among them, got 'ZTX'; "
            "name each axis of shape (4, 5, 6), ZYX for example",
        ),
        (
            np.zeros((4, 5, 6), np.uint8),
            "zyx",
            "`axes` must be 3 different capital letters with Y and X among them, got 'zyx'; "
            "name each axis of shape (4, 5, 6), ZYX for example",
        ),
        (
            np.zeros(7, np.uint8),
            None,
            "`noisy` must have at least two axes, got shape (7,); give it Y and X",
        ),
        (
            np.zeros((0, 5), np.uint8),
            None,
            "`noisy` must have pixels, got shape (0, 5); give at least one of each axis",
        ),
        (np.zeros((4, 5), complex), None, f"`noisy` must be {KNOWN}, got complex128; convert it"),
        (np.zeros((4, 5), object), None, f"`noisy` must be {KNOWN}, got object; convert it"),
        (np.zeros((4, 5), int), None, f"`noisy` must be {KNOWN}, got int64; convert it"),
        (
            np.array([[0, np.nan], [np.inf, -np.inf]], ">f4"),
            None,
            "`noisy` must be finite, got 3 of 4 values that are NaN or infinite; replace them",
        ),
        (
            np.array([[0, 1e39], [5, 1]]),
            None,
            "`noisy` must be finite, got 1 of 4 values that are NaN, infinite or beyond 3.4e38; "
            "replace them",
        ),
        (
            torch.tensor([[0.0, float("nan")]]),
            None,
            "`noisy` must be finite, got 1 of 2 values that are NaN or infinite; replace them",
        ),
    ],
)
def test_what_cannot_be_worked_on_is_refused_in_one_sentence(source, axes, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        array_stack(source, axes, name="noisy")
    assert str(caught.value) == sentence


def test_a_list_is_no_array():
    with pytest.raises(TypeError) as caught:
        array_stack([[0, 1]])
    assert str(caught.value) == "`picture` must be a NumPy array or a tensor, got list; convert it"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda stack: stack.read_plane((3,)),
            "`index` must be one of the planes of (3,), got (3,); take it from "
            "`Stack.plane_indices`",
        ),
        (
            lambda stack: stack.read_plane((0, 0)),
            "`index` must be one of the planes of (3,), got (0, 0); take it from "
            "`Stack.plane_indices`",
        ),
        (
            lambda stack: stack.to_dtype(torch.zeros(1, 4, 6)),
            "`plane` must be (C, H, W) = (1, 4, 5) like the stack's, got (1, 4, 6); put back "
            "what `Stack.read_plane` gave",
        ),
        (
            lambda stack: stack.to_dtype(torch.full((1, 4, 5), torch.nan)),
            "`plane` must be finite, got 20 values that are not; clean them",
        ),
    ],
)
def test_planes_that_do_not_fit_are_refused(call, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call(array_stack(np.zeros((3, 4, 5), np.uint8), axes="ZYX"))
    assert str(caught.value) == sentence
