"""Instructions that Numba does not offer, as intrinsics; kernels name them by `miscreen.kernels._jit`."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from miscreen.kernels._vectors import everywhere, read_eight


@intrinsic
def bits_of(typing_context: Any, number: Any) -> Any:
    """The 64 bits of a float64, as an int64."""

    def reinterpret(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return numba.int64(numba.float64), reinterpret


@intrinsic
def float_of(typing_context: Any, bits: Any) -> Any:
    """The float64 whose 64 bits are those of an int64."""

    def reinterpret(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return numba.float64(numba.int64), reinterpret


def _load(bits: int) -> Any:
    """How so many bits at an address, aligned or not, are loaded."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
        return builder.load(pointer, align=1)

    return load


@intrinsic
def byte_at(typing_context: Any, address: Any) -> Any:
    """The byte at an address, as an int64: unlike an array, an address costs a callee no reference counts."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return numba.int64(numba.int64), load


@intrinsic
def word_at(typing_context: Any, address: Any) -> Any:
    """The eight bytes at an address, aligned or not, as a uint64 in the processor's byte order."""
    return numba.uint64(numba.int64), _load(64)


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """How many zeros there are below the lowest bit of a uint64 that is set, as an int64; 64 where none is."""

    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return numba.int64(numba.uint64), count


@intrinsic
def unsigned(typing_context: Any, array: Any) -> Any:
    """An int64 array as uint64, in the same memory."""
    words = array.copy(dtype=numba.uint64)

    def share(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return impl_ret_borrowed(context, builder, words, arguments[0])

    return words(array), share


@intrinsic
def ones(typing_context: Any, word: Any) -> Any:
    """How many bits of a uint64 are set, as an int64."""

    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return numba.int64(numba.uint64), count


@intrinsic
def equal_bytes(typing_context: Any, address: Any, byte: Any) -> Any:
    """Which of the 64 bytes at an address are a byte, the first in the lowest bit of a uint64."""

    def compare(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        octet, word = ir.IntType(8), ir.IntType(64)
        pointer = builder.inttoptr(arguments[0], ir.VectorType(octet, 64).as_pointer())
        wanted = everywhere(builder, builder.trunc(arguments[1], octet), 64)
        equal = builder.icmp_unsigned("==", builder.load(pointer, align=1), wanted)
        return builder.bitcast(equal, word)

    return numba.uint64(numba.int64, numba.int64), compare


@intrinsic
def half_word_at(typing_context: Any, address: Any) -> Any:
    """The four bytes at an address, aligned or not, as a uint32 in the processor's byte order."""
    return numba.uint32(numba.int64), _load(32)


@intrinsic
def add_tile(typing_context: Any, into: Any, rows: Any, columns: Any, strides: Any, terms: Any, fresh: Any) -> Any:
    """Add to a tile of 4 x 8 float64, or write if `fresh`, that of a product of matrices; terms are added one by one.

    into, rows, columns: addresses of the tile, of the first term in four rows of the left matrix and in eight columns
    of the right one. strides: bytes from row to row of the tile, from row to row and from term to term of the left
    matrix, from term to term of the right one. A product and the sum before it are rounded together, once, and the sums
    stay in registers, which LLVM's loops do not manage.
    """

    def add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, four = ir.IntType(64), ir.VectorType(ir.DoubleType(), 4)
        fuse = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(four, (four, four, four)), "llvm.fma.v4f64"
        )
        into, rows, columns, strides, terms, fresh = arguments
        strides = [builder.extract_value(strides, place) for place in range(4)]

        def at(address: Any, steps: Any, stride: Any, offset: int, kind: Any) -> Any:
            moved = builder.add(builder.add(address, builder.mul(steps, stride)), ir.Constant(word, offset))
            return builder.inttoptr(moved, kind.as_pointer())

        places = [(row, half) for row in range(4) for half in range(2)]
        tile = [at(into, ir.Constant(word, row), strides[0], 32 * half, four) for row, half in places]
        sums = [cgutils.alloca_once(builder, four) for _ in places]
        for place, total in zip(tile, sums, strict=True):
            before = builder.select(fresh, ir.Constant(four, [0.0] * 4), builder.load(place, align=8))
            builder.store(before, total)
        with cgutils.for_range(builder, terms) as loop:
            halves = [builder.load(at(columns, loop.index, strides[3], 32 * h, four), align=8) for h in range(2)]
            term = builder.add(rows, builder.mul(loop.index, strides[2]))
            for row in range(4):
                factor = builder.load(at(term, ir.Constant(word, row), strides[1], 0, ir.DoubleType()))
                lanes = everywhere(builder, factor)
                for half in range(2):
                    total = sums[2 * row + half]
                    builder.store(builder.call(fuse, (lanes, halves[half], builder.load(total))), total)
        for place, total in zip(tile, sums, strict=True):
            builder.store(builder.load(total), place, align=8)
        return context.get_dummy_value()

    address = numba.int64
    strides_type = numba.types.UniTuple(address, 4)
    return numba.void(address, address, address, strides_type, address, numba.boolean), add


@intrinsic
def add_sixteen(typing_context: Any, into: Any, factor: Any, terms: Any) -> Any:
    """Add sixteen float64 at an address, times a factor, to those at another; LLVM's loops do it one at a time."""

    def add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sixteen = ir.VectorType(ir.DoubleType(), 16).as_pointer()
        place, terms = (builder.inttoptr(address, sixteen) for address in arguments[::2])
        product = builder.fmul(everywhere(builder, arguments[1], 16), builder.load(terms, align=8))
        builder.store(builder.fadd(builder.load(place, align=8), product), place, align=8)
        return context.get_dummy_value()

    return numba.void(numba.int64, numba.float64, numba.int64), add


@intrinsic
def count_closer(typing_context: Any, address: Any, value: Any, weight: Any, radius: Any) -> Any:
    """How many of eight float64 x at an address have (x - value) * weight < radius, as an int64.

    In vectors, whose comparisons are counted as bits: LLVM adds up numbers instead.
    """

    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, four = ir.IntType(64), ir.VectorType(ir.DoubleType(), 4)
        value, weight, radius = (everywhere(builder, scalar) for scalar in arguments[1:])
        closer = ir.Constant(word, 0)
        for half in range(2):
            at = builder.add(arguments[0], ir.Constant(word, 32 * half))
            numbers = builder.load(builder.inttoptr(at, four.as_pointer()), align=8)
            distances = builder.fmul(builder.fsub(numbers, value), weight)
            mask = builder.bitcast(builder.fcmp_ordered("<", distances, radius), ir.IntType(4))
            closer = builder.or_(builder.shl(closer, ir.Constant(word, 4)), builder.zext(mask, word))
        return builder.ctpop(closer)

    return numba.int64(numba.int64, numba.float64, numba.float64, numba.float64), count


@intrinsic
def stir_lanes(typing_context: Any, states: Any, addresses: Any, count: Any, factor: Any, shift: Any, nan: Any) -> Any:
    """Stir float64 at one or more addresses, four times `count` at each, into as many uint64 each: lane by lane.

    A state becomes s ^ s >> shift with s = (state ^ bits) * factor; every NaN has the bits given. In vectors, which
    LLVM makes of no loop that goes on from its last turn; several addresses hide how long a multiplication takes.
    """

    def stir(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, lanes = ir.IntType(64), [ir.Constant(ir.IntType(32), lane) for lane in range(4)]
        four, floats = ir.VectorType(word, 4), ir.VectorType(ir.DoubleType(), 4)

        def vector(scalars: Any) -> Any:
            made = ir.Constant(four, ir.Undefined)
            for lane, scalar in zip(lanes, scalars, strict=True):
                made = builder.insert_element(made, scalar, lane)
            return made

        starts = cgutils.unpack_tuple(builder, arguments[0])
        rows = cgutils.unpack_tuple(builder, arguments[1])
        factor, shift, nan = (everywhere(builder, scalar) for scalar in arguments[3:])
        kept = [cgutils.alloca_once_value(builder, vector(starts[4 * r : 4 * r + 4])) for r in range(len(rows))]
        with cgutils.for_range(builder, arguments[2]) as loop:
            offset = builder.mul(loop.index, ir.Constant(word, 32))
            for row, state in zip(rows, kept, strict=True):
                pointer = builder.inttoptr(builder.add(row, offset), floats.as_pointer())
                values = builder.load(pointer, align=8)
                is_number = builder.fcmp_ordered("ord", values, values)
                bits = builder.select(is_number, builder.bitcast(values, four), nan)
                stirred = builder.mul(builder.xor(builder.load(state), bits), factor)
                builder.store(builder.xor(stirred, builder.lshr(stirred, shift)), state)
        ended = [builder.extract_element(builder.load(state), lane) for state in kept for lane in lanes]
        return cgutils.pack_array(builder, ended)

    word = numba.uint64
    return states(states, addresses, numba.int64, word, word, word), stir


@intrinsic
def copy_bytes(typing_context: Any, into: Any, address: Any, size: Any) -> Any:
    """Copy so many bytes from one address to another; the two do not overlap."""

    def copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        ends = [builder.inttoptr(end, pointer) for end in arguments[:2]]
        cgutils.raw_memcpy(builder, ends[0], ends[1], arguments[2], 1)
        return context.get_dummy_value()

    return numba.void(numba.int64, numba.int64, numba.int64), copy


@intrinsic
def has_wide_vectors(typing_context: Any) -> Any:
    """Whether vectors of 256 bits and more are at hand, and addresses in them, as `read_eight_numbers` wants it."""

    def tell(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), "+avx2" in context.codegen()._get_host_cpu_features())

    return numba.boolean(), tell


@intrinsic
def call_pread(typing_context: Any, pread: Any, descriptor: Any, into: Any, size: Any, offset: Any) -> Any:
    """What POSIX's ``pread``, at an address, reads of an open file: the number of bytes, or -1."""

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pread, descriptor, into, size, offset = arguments
        word, number, pointer = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
        function = builder.inttoptr(pread, ir.FunctionType(word, (number, pointer, word, word)).as_pointer())
        where = builder.inttoptr(into, pointer)
        return builder.call(function, (builder.trunc(descriptor, number), where, size, offset))

    return numba.int64(*[numba.int64] * 5), call


def _scan(slots: int | None) -> Any:
    """How `scan_lanes` is done with so many distances of each lane in registers, or with any number in memory."""

    def scan(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, stop, step, x, y, lanes, places, x_weight, y_weight, least, *number = arguments
        word, wide = ir.IntType(64), ir.DoubleType()
        four = ir.VectorType(wide, 4)
        infinite = ir.Constant(four, [float("inf")] * 4)
        size = cgutils.get_or_insert_function(builder.module, ir.FunctionType(four, (four,)), "llvm.fabs.v4f64")

        def at(address: Any, offset: Any, kind: Any) -> Any:
            return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

        def of(kind: Any, number: int) -> Any:
            return ir.Constant(kind, number)

        def some_nearer(gap: Any) -> Any:
            nearer = builder.fcmp_unordered("<", gap, builder.load(last, align=8))
            return builder.icmp_unsigned("!=", builder.bitcast(nearer, ir.IntType(4)), of(ir.IntType(4), 0))

        xs, ys = (builder.load(at(lanes, of(word, 32 * row), four), align=8) for row in range(2))
        own = builder.load(at(places, of(word, 0), ir.VectorType(word, 4)), align=8)
        rows = [at(least, of(word, 32 * slot), four) for slot in range(slots or 0)]
        kept = [cgutils.alloca_once(builder, four) for _ in rows]
        for row, register in zip(rows, kept, strict=True):
            builder.store(builder.load(row, align=8), register)
        last = kept[-1] if kept else at(least, builder.shl(builder.sub(number[0], of(word, 1)), of(word, 5)), four)
        x_weights = everywhere(builder, x_weight)
        y_weights = everywhere(builder, builder.fmul(y_weight, builder.sitofp(step, wide)))  # positive on the way
        here = cgutils.alloca_once_value(builder, first)
        check, look, enter, done = (builder.append_basic_block(name) for name in ("check", "look", "enter", "done"))
        builder.branch(check)

        builder.position_at_end(check)
        place = builder.load(here)
        builder.cbranch(builder.icmp_signed("==", place, stop), done, look)

        builder.position_at_end(look)
        offset = builder.shl(place, of(word, 3))
        y_gap = builder.fmul(builder.fsub(everywhere(builder, builder.load(at(y, offset, wide))), ys), y_weights)
        builder.cbranch(some_nearer(y_gap), enter, done)

        builder.position_at_end(enter)
        x_gap = builder.fmul(builder.fsub(everywhere(builder, builder.load(at(x, offset, wide))), xs), x_weights)
        x_gap, y_gap = builder.call(size, (x_gap,)), builder.call(size, (y_gap,))
        distance = builder.select(builder.fcmp_ordered(">", x_gap, y_gap), x_gap, y_gap)
        distance = builder.select(builder.icmp_signed("==", own, everywhere(builder, place)), infinite, distance)

        def keep(register: Any, distance: Any) -> Any:
            other = builder.load(register, align=8)
            smaller = builder.fcmp_ordered("<", distance, other)
            builder.store(builder.select(smaller, distance, other), register, align=8)
            return builder.select(smaller, other, distance)

        for register in kept:
            distance = keep(register, distance)
        if not kept:
            move, step_on = (builder.append_basic_block(name) for name in ("move", "step"))
            builder.cbranch(some_nearer(distance), move, step_on)  # to move many for nothing is dearer than to look
            builder.position_at_end(move)
            carried = cgutils.alloca_once(builder, four)
            builder.store(distance, carried)
            with cgutils.for_range(builder, number[0]) as loop:
                row = at(least, builder.shl(loop.index, of(word, 5)), four)
                builder.store(keep(row, builder.load(carried)), carried)
            builder.branch(step_on)
            builder.position_at_end(step_on)
        builder.store(builder.add(place, step), here)
        builder.branch(check)

        builder.position_at_end(done)
        for row, register in zip(rows, kept, strict=True):
            builder.store(builder.load(register), row, align=8)
        return context.get_dummy_value()

    return scan


_SCAN = numba.void(*[numba.int64] * 7, numba.float64, numba.float64, numba.int64)


@intrinsic
def scan_lanes(
    typing_context: Any, first: Any, stop: Any, step: Any, x: Any, y: Any, lanes: Any, places: Any, x_weight: Any,
    y_weight: Any, least: Any,
) -> Any:  # fmt: skip
    """Enter points among the nearest of four others, the lanes, as long as one of these may have them that near.

    From point `first`, by a `step` of 1 or -1, up to but without `stop`, which must lie there; y goes up by the way, or
    down. x, y: addresses of float64; lanes: address of four x and four y; places: of four int64, the points that are
    not to be entered for a lane. A gap in x or y times its weight is a distance, and the larger one counts. least:
    address of four rows of four float64, by lane the distances of the nearest so far, ascending; the last is how near
    is near.
    """
    return _SCAN, _scan(4)


@intrinsic
def scan_lanes_for_eight(
    typing_context: Any, first: Any, stop: Any, step: Any, x: Any, y: Any, lanes: Any, places: Any, x_weight: Any,
    y_weight: Any, least: Any,
) -> Any:  # fmt: skip
    """Like `scan_lanes`, with eight rows of distances."""
    return _SCAN, _scan(8)


@intrinsic
def scan_lanes_for_sixteen(
    typing_context: Any, first: Any, stop: Any, step: Any, x: Any, y: Any, lanes: Any, places: Any, x_weight: Any,
    y_weight: Any, least: Any,
) -> Any:  # fmt: skip
    """Like `scan_lanes`, with 16 rows of distances."""
    return _SCAN, _scan(16)


@intrinsic
def scan_lanes_for_many(
    typing_context: Any, first: Any, stop: Any, step: Any, x: Any, y: Any, lanes: Any, places: Any, x_weight: Any,
    y_weight: Any, least: Any, number: Any,
) -> Any:  # fmt: skip
    """Like `scan_lanes`, with any number of rows of distances, which stay in memory."""
    return numba.void(*_SCAN.args, numba.int64), _scan(None)


@intrinsic
def read_eight_numbers(
    typing_context: Any, cells: Any, last: Any, ends_cell: Any, words: Any, tens: Any, fives: Any, into: Any
) -> Any:
    """Read a number at each of eight addresses, side by side, where that is easy: most are.

    That is what `read_number` reads, without a ``+`` before it, with up to 7 digits before a point, 19 in all and 4
    in the exponent, and then the byte `ends_cell`; if it is normal, and settled by 64 bits of a power of five.
    cells: address of eight addresses, moved on beyond that byte where a number was read. Texts end at `last`, 32 bytes
    before which nothing is read. words: how many of eight bytes to begin with, 2 to 4; four if there is an exponent.
    tens, fives: addresses of the powers of ten, float64, and of 5^0 in the table of `nearest_float64`. into: address of
    eight float64. Returns the lanes that are not read in its lowest eight bits, those of numbers that are no integer
    literals up to 2^53 in the next, and then how many words would have been enough.
    """

    def read(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return read_eight(builder, *arguments)

    return numba.int64(*[numba.int64] * 7), read
