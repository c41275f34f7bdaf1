"""Vectors of 16 numbers that stay in registers, for compiled loops.

Only `*_loops` modules import it.

Compilers keep sums of loops over arrays in memory; written with these, they lie in registers, and
loops are five to ten times as fast. A processor whose registers are shorter takes several for each
vector. Indices count numbers from the start of a contiguous array, and nothing checks them.

Example:
    >>> from impasto.compiled import jit
    >>> @jit
    ... def dot(a, b):
    ...     total = splat(a[0] * 0)
    ...     for at in range(0, a.size, LANES):
    ...         total = fma(load(a, at), load(b, at), total)
    ...     return sum_of(total)
    >>> import numpy as np
    >>> float(dot(np.full(32, 2, np.float32), np.ones(32, np.float32)))
    64.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

LANES = 16

_FLOAT = ir.FloatType()
_BITS = ir.IntType(LANES)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_FUSED = ("contract", "nsz")  # products are fused with sums


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__("float32x16")


_vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, front_type: Any) -> None:
        super().__init__(manager, front_type, _VECTOR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    start = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(start, [index]), ir.PointerType(_VECTOR))


def _splat(builder: Any, number: Any) -> Any:
    zero = ir.Constant(ir.IntType(32), 0)
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, zero)
    order = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, order)


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the 16 numbers of an array from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=4)

    return _vector(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector into an array from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, vector = arguments
        pointer = _pointer(context, builder, signature.args[0], array, index)
        builder.store(vector, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _vector), generate


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """Return a vector of the same number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return _vector(types.float32), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a · b + c; each is a vector, or a number in place of one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = (
            argument if kind == _vector else _splat(builder, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        )
        return builder.fadd(builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    return _vector(*(t if t == _vector else types.float32 for t in (a, b, c))), generate


def _binary(name: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b = (
                argument if kind == _vector else _splat(builder, argument)
                for kind, argument in zip(signature.args, arguments, strict=True)
            )
            return getattr(builder, name)(a, b, flags=_FUSED)

        return _vector(*(t if t == _vector else types.float32 for t in (a, b))), generate

    return operation


add, subtract, multiply = _binary("fadd"), _binary("fsub"), _binary("fmul")


@intrinsic
def sum_of(typing: Any, vector: Any) -> Any:
    """Return the sum of a vector's numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (vector,) = arguments
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        width = LANES
        while width > 1:
            width //= 2
            order = [(lane + width) % LANES for lane in range(LANES)]
            order = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
            vector = builder.fadd(vector, builder.shuffle_vector(vector, undefined, order))
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float32(_vector), generate


@intrinsic
def at_most(typing: Any, vector: Any, limit: Any) -> Any:
    """Return whether each number is at most a limit, as 16 bits of a whole number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, limit = arguments
        below = builder.fcmp_ordered("<=", vector, _splat(builder, limit))
        return builder.zext(builder.bitcast(below, _BITS), ir.IntType(64))

    return types.int64(_vector, types.float32), generate


@intrinsic
def bit_count(typing: Any, bits: Any) -> Any:
    """Return how many bits of a whole number are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


@intrinsic
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Return the place of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.int64(types.int64), generate


@intrinsic
def transpose(
    typing: Any,
    source: Any,
    index: Any,
    step: Any,
    target: Any,
    target_index: Any,
    target_step: Any,
) -> Any:
    """Write 16 rows of 16 numbers as columns; a step is from one row to the next."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, index, step, target, target_index, target_step = arguments
        rows = []
        for _ in range(LANES):
            pointer = _pointer(context, builder, signature.args[0], source, index)
            rows.append(builder.load(pointer, align=4))
            index = builder.add(index, step)
        distance = 1
        while distance < LANES:
            low = [n - distance + LANES if n & distance else n for n in range(LANES)]
            high = [n + LANES if n & distance else n + distance for n in range(LANES)]
            orders = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), o) for o in (low, high)]
            for n in range(LANES):
                if not n & distance:
                    pair = rows[n], rows[n + distance]
                    rows[n], rows[n + distance] = (
                        builder.shuffle_vector(*pair, order) for order in orders
                    )
            distance *= 2
        for row in rows:
            pointer = _pointer(context, builder, signature.args[3], target, target_index)
            builder.store(row, pointer, align=4)
            target_index = builder.add(target_index, target_step)
        return context.get_dummy_value()

    ints = types.intp
    return types.void(source, ints, ints, target, ints, ints), generate
