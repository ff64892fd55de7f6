"""Vectors in LLVM's language, for `_instructions`: numbers read out of text, eight side by side.

As in `decimal`, after Lemire (2021), doi:10.1002/spe.2984.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir

_ONES = 0x0101010101010101  # in every byte


def everywhere(builder: Any, number: Any, lanes: int = 4) -> Any:
    """A vector of the same number in every lane."""
    copies = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    for lane in range(lanes):
        copies = builder.insert_element(copies, number, ir.Constant(ir.IntType(32), lane))
    return copies


def _eight(number: Any) -> Any:
    """A vector of eight times a number that is known."""
    return ir.Constant(ir.VectorType(ir.IntType(64), 8), [number] * 8)


class _Cells:
    """The instructions of `read_eight_numbers`, on vectors of eight words; a text is of the first `words` at each cell.

    The first character is the lowest byte of the first word; places and sizes are counted in bits.
    """

    def __init__(self, builder: Any, words: int, starts: Any, ends_cell: Any, tables: Any) -> None:
        self._builder, self._words, self._tables = builder, words, tables
        text = [self._load(builder.add(starts, _eight(8 * k)), ir.IntType(64)) for k in range(words)]
        self.negative = self._is(builder.and_(text[0], _eight(255)), _eight(ord("-")))
        text = self._where(self.negative, self._without_first(text), text)
        self._digits = [builder.xor(word, _eight(48 * _ONES)) for word in text]  # 0 to 9, if they are
        others = [self._above_nine(word) for word in self._digits]
        self._whole = builder.sub(self._zeros(others[0], "cttz"), _eight(7))  # digits before the point or the end
        near = self._is_not(others[0], _eight(0))  # behind eight digits no point is looked for
        self.has_point = self._both(near, self._is(self._byte(text[0], self._whole), _eight(ord("."))))
        second = builder.and_(others[0], builder.sub(others[0], _eight(1)))
        others[0] = builder.select(self.has_point, second, others[0])
        self.size = last = _eight(0)  # of the digits and the point; what comes after them
        self.ended = ir.Constant(ir.VectorType(ir.IntType(1), 8), [0] * 8)
        for k in reversed(range(words)):  # the first word that has more than digits
            here = self._is_not(others[k], _eight(0))
            self.size = builder.select(here, builder.add(self._zeros(others[k], "cttz"), _eight(64 * k - 7)), self.size)
            last = builder.select(here, text[k], last)
            self.ended = builder.or_(self.ended, here)
        short = self._both(self.negative, self._is(self.size, _eight(64 * words - 8)))  # the text is, by the sign
        self.ended = builder.and_(self.ended, builder.not_(short))
        last = self._byte(last, builder.and_(self.size, _eight(63)))
        self.has_exponent = self._is(builder.or_(last, _eight(32)), _eight(ord("e")))
        self._text, self._ends_cell, self._last, self._exponent = text, ends_cell, last, _eight(0)

    def end(self) -> Any:
        """Bits up to the end of the cell without its sign, and whether it is `sound`, which no exponent is."""
        self.sound = self._both(self.ended, self._is(self._last, self._ends_cell))
        return self.size

    def end_of_exponent(self) -> Any:
        """Like `end`, with exponents of one to four digits."""
        builder, begins = self._builder, self._builder.add(self.size, _eight(8))
        text = _eight(0)  # eight characters after the letter
        for k, word in enumerate(self._text):
            text = builder.or_(text, self._down(word, builder.sub(begins, _eight(64 * k))))
            text = builder.or_(text, self._up(word, builder.sub(_eight(64 * k), begins)))
        first = builder.and_(text, _eight(255))
        below = self._is(first, _eight(ord("-")))
        signed = builder.or_(below, self._is(first, _eight(ord("+"))))
        text = builder.select(signed, builder.lshr(text, _eight(8)), text)
        digits = builder.xor(text, _eight(48 * _ONES))
        size = builder.sub(self._zeros(self._above_nine(digits), "cttz"), _eight(7))
        power = self._eight_digits(self._up(digits, builder.sub(_eight(64), size)))
        within = builder.icmp_unsigned("<=", builder.sub(size, _eight(8)), _eight(3 * 8))
        last = self._byte(text, builder.and_(size, _eight(63)))
        end = builder.add(builder.add(begins, size), builder.select(signed, _eight(8), _eight(0)))
        end = builder.select(self.has_exponent, end, self.size)
        last = builder.select(self.has_exponent, last, self._last)
        power = builder.select(below, builder.sub(_eight(0), power), power)
        self._exponent = builder.select(self.has_exponent, power, _eight(0))
        within = builder.or_(within, builder.not_(self.has_exponent))
        self.sound = self._both(self.ended, within, self._is(last, self._ends_cell))
        return end

    def values(self) -> tuple[Any, Any]:
        """The bits of the numbers, and whether each is right: 1 to 19 digits, and 64 bits of a power settle it."""
        builder = self._builder
        below = builder.sub(builder.shl(_eight(1), builder.and_(self._whole, _eight(63))), _eight(1))
        after = self._without_first(self._digits)
        joined = builder.or_(builder.and_(self._digits[0], below), builder.and_(after[0], builder.not_(below)))
        digits = self._where(self.has_point, [joined, *after[1:]], self._digits)
        size = builder.sub(self.size, builder.select(self.has_point, _eight(8), _eight(0)))
        right = builder.icmp_unsigned("<=", builder.sub(size, _eight(8)), _eight(18 * 8))
        words = min(3, self._words)  # all that 19 digits take
        room = builder.sub(_eight(64 * words), size)
        number = _eight(0)
        for k in range(words):  # of the digits, moved up against the end of the last word
            word = _eight(0)
            for j in range(k + 1):
                moved = builder.sub(room, _eight(64 * (k - j)))
                word = builder.or_(word, self._up(digits[j], moved))
                if j < k:
                    word = builder.or_(word, self._down(digits[j], builder.sub(_eight(0), moved)))
            number = builder.add(builder.mul(number, _eight(10**8)), self._eight_digits(word))
        self.no_integer = builder.or_(
            builder.or_(self.has_point, self.has_exponent), builder.icmp_unsigned(">", number, _eight(1 << 53))
        )
        fraction = builder.select(self.has_point, builder.sub(size, self._whole), _eight(0))
        power = builder.sub(self._exponent, builder.lshr(fraction, _eight(3)))
        value = self._quotient(number, power)
        if self._words > 2:  # of no more than 15 digits, the quotient of two exact numbers is the nearest
            below = builder.icmp_unsigned("<=", builder.add(power, _eight(22)), _eight(44))
            exact = builder.and_(below, builder.icmp_unsigned("<=", number, _eight(1 << 53)))
            nearest, settled = self._nearest(number, power)
            value = builder.select(exact, value, nearest)
            right = self._both(right, builder.or_(exact, settled))
        sign = builder.select(self.negative, _eight(1 << 63), _eight(0))
        return builder.xor(value, sign), right

    def _quotient(self, number: Any, power: Any) -> Any:
        """The bits of numbers times powers of ten down to -22, and up to 22 in case of exponents, rounded once."""
        builder, wide = self._builder, ir.DoubleType()
        whole, size = builder.sitofp(number, ir.VectorType(wide, 8)), builder.sub(_eight(0), power)
        if self._words < 4:
            value = builder.fdiv(whole, self._from_table(self._tables[0], size, 8, wide))
        else:
            below = builder.icmp_signed("<", power, _eight(0))
            size = builder.select(below, size, power)
            within = builder.icmp_unsigned("<=", size, _eight(22))
            ten = self._from_table(self._tables[0], builder.select(within, size, _eight(0)), 8, wide)
            value = builder.select(below, builder.fdiv(whole, ten), builder.fmul(whole, ten))
        return builder.bitcast(value, number.type)

    def _nearest(self, number: Any, power: Any) -> tuple[Any, Any]:
        """The bits of the float64 nearest to numbers times powers of ten, as `nearest_float64`; whether they are."""
        builder = self._builder
        shift = self._zeros(number, "ctlz")
        w = builder.shl(number, builder.and_(shift, _eight(63)))
        known = builder.icmp_unsigned("<=", builder.add(power, _eight(300)), _eight(600))
        place = builder.select(known, power, _eight(0))
        five = self._from_table(self._tables[1], place, 16, ir.IntType(64))
        high, low = self._high_product(w, five), builder.mul(w, five)
        open_ended = self._is(builder.and_(high, _eight(0x1FF)), _eight(0x1FF))
        settled = builder.not_(open_ended)
        if self._words > 3:  # every other float64 that is written out with all of its digits takes the second word
            lower = builder.add(self._tables[1], ir.Constant(ir.IntType(64), 8))
            rest = self._from_table(lower, place, 16, ir.IntType(64))
            more = builder.add(low, builder.select(open_ended, self._high_product(w, rest), _eight(0)))
            carry = builder.zext(builder.icmp_unsigned("<", more, low), w.type)
            high, low = builder.add(high, carry), more
            settled = self._is_not(low, _eight(-1))
        upper = builder.lshr(high, _eight(63))
        drop = builder.add(upper, _eight(9))
        mantissa = builder.lshr(high, drop)
        exponent = builder.ashr(builder.mul(power, _eight(217706)), _eight(16))
        exponent = builder.sub(builder.add(builder.add(exponent, _eight(63 + 1023)), upper), shift)
        settled = self._both(
            known,
            self._is_not(number, _eight(0)),
            settled,
            builder.icmp_unsigned("<", builder.sub(exponent, _eight(1)), _eight(2044)),  # normal, even rounded up
        )
        tie = self._both(
            builder.icmp_unsigned("<=", low, _eight(1)),
            builder.icmp_unsigned("<=", builder.add(power, _eight(4)), _eight(27)),
            self._is(builder.and_(mantissa, _eight(3)), _eight(1)),
            self._is(builder.shl(mantissa, drop), high),
        )
        mantissa = builder.sub(mantissa, builder.select(tie, _eight(1), _eight(0)))
        mantissa = builder.lshr(builder.add(mantissa, builder.and_(mantissa, _eight(1))), _eight(1))
        exponent = builder.shl(builder.sub(exponent, _eight(1)), _eight(52))  # 2^52 and 2^53 of the mantissa add to it
        return builder.add(exponent, mantissa), settled

    def _high_product(self, a: Any, b: Any) -> Any:
        """The upper 64 bits of the product of two words."""
        builder, half, bits = self._builder, _eight(2**32 - 1), _eight(32)
        a0, a1, b0, b1 = (part for word in (a, b) for part in (builder.and_(word, half), builder.lshr(word, bits)))
        first = builder.add(builder.mul(a1, b0), builder.lshr(builder.mul(a0, b0), bits))
        other = builder.add(builder.mul(a0, b1), builder.and_(first, half))
        high = builder.add(builder.mul(a1, b1), builder.lshr(first, bits))
        return builder.add(high, builder.lshr(other, bits))

    def _is(self, one: Any, other: Any) -> Any:
        return self._builder.icmp_unsigned("==", one, other)

    def _is_not(self, one: Any, other: Any) -> Any:
        return self._builder.icmp_unsigned("!=", one, other)

    def _both(self, *conditions: Any) -> Any:
        return functools.reduce(self._builder.and_, conditions)

    def _where(self, condition: Any, words: Any, others: Any) -> Any:
        return [self._builder.select(condition, one, other) for one, other in zip(words, others, strict=True)]

    def _load(self, addresses: Any, kind: Any) -> Any:
        """What is at eight addresses."""
        found = ir.Constant(ir.VectorType(kind, 8), ir.Undefined)
        for lane in range(8):
            at = ir.Constant(ir.IntType(32), lane)
            pointer = self._builder.inttoptr(self._builder.extract_element(addresses, at), kind.as_pointer())
            found = self._builder.insert_element(found, self._builder.load(pointer, align=1), at)
        return found

    def _from_table(self, table: Any, places: Any, stride: int, kind: Any) -> Any:
        """What a table at an address has at eight places."""
        at = self._builder.mul(places, _eight(stride))
        return self._load(self._builder.add(at, everywhere(self._builder, table, 8)), kind)

    def _byte(self, word: Any, place: Any) -> Any:
        """The byte that begins at a place, below 64."""
        return self._builder.and_(self._builder.lshr(word, place), _eight(255))

    def _without_first(self, words: Any) -> Any:
        """All characters but the first."""
        below = [self._builder.lshr(word, _eight(8)) for word in words]
        above = [self._builder.shl(word, _eight(56)) for word in words[1:]]
        return [self._builder.or_(*pair) for pair in zip(below, above, strict=False)] + below[-1:]

    def _above_nine(self, word: Any) -> Any:
        """The high bit of each byte that is above 9."""
        builder = self._builder
        low = builder.add(builder.and_(word, _eight(127 * _ONES)), _eight(118 * _ONES))
        return builder.and_(builder.or_(low, word), _eight(128 * _ONES))

    def _zeros(self, word: Any, end: str) -> Any:
        """How many zeros there are below the lowest bit that is set (`cttz`) or above the highest (`ctlz`)."""
        kind = ir.FunctionType(word.type, (word.type, ir.IntType(1)))
        count = self._builder.module.declare_intrinsic(f"llvm.{end}.v8i64", (), kind)
        return self._builder.call(count, (word, ir.Constant(ir.IntType(1), 0)))

    def _up(self, word: Any, bits: Any) -> Any:
        """Shifted up, or 0 by 64 bits and more, which includes negative ones."""
        within = self._builder.icmp_unsigned("<", bits, _eight(64))
        return self._builder.select(within, self._builder.shl(word, bits), _eight(0))

    def _down(self, word: Any, bits: Any) -> Any:
        within = self._builder.icmp_unsigned("<", bits, _eight(64))
        return self._builder.select(within, self._builder.lshr(word, bits), _eight(0))

    def _eight_digits(self, word: Any) -> Any:
        """The number that the eight digits of a word make."""
        builder = self._builder
        for size, mask in ((1, -1), (2, 0x00FF00FF00FF00FF), (4, 0x0000FFFF0000FFFF)):
            weights = _eight((10**size << 8 * size) + 1)
            word = builder.lshr(builder.mul(builder.and_(word, _eight(mask)), weights), _eight(8 * size))
        return word


def read_eight(
    builder: Any, cells: Any, last: Any, ends_cell: Any, words: Any, tens: Any, fives: Any, into: Any
) -> Any:
    """The instructions of `read_eight_numbers`; its result."""
    word, eight, octet = ir.IntType(64), ir.VectorType(ir.IntType(64), 8), ir.IntType(8)
    places = builder.inttoptr(cells, eight.as_pointer())
    starts = builder.load(places, align=8)
    limits = everywhere(builder, builder.sub(last, ir.Constant(word, 32)), 8)
    inside = builder.icmp_unsigned("<=", starts, limits)
    safe = builder.select(inside, starts, limits)
    ends = everywhere(builder, ends_cell, 8)
    answers = []
    begin = {size: builder.append_basic_block(f"words{size}") for size in (2, 3, 4)}
    done = builder.append_basic_block("done")
    switch = builder.switch(words, begin[4])
    for size in (2, 3):
        switch.add_case(ir.Constant(word, size), begin[size])

    def some(lanes: Any) -> Any:
        return builder.icmp_unsigned("!=", builder.bitcast(lanes, octet), ir.Constant(octet, 0))

    def finish(found: _Cells, end: Any, enough: Any) -> None:
        values, right = found.values()
        right = builder.and_(builder.and_(right, found.sound), inside)
        builder.store(values, builder.inttoptr(into, eight.as_pointer()), align=8)
        step = builder.add(builder.lshr(end, _eight(3)), builder.zext(found.negative, eight))
        moved = builder.add(builder.add(starts, step), _eight(1))
        builder.store(builder.select(right, moved, starts), places, align=8)
        fractions = builder.and_(found.no_integer, right)
        right, fractions = (builder.zext(builder.bitcast(lanes, octet), word) for lanes in (right, fractions))
        notes = builder.or_(builder.xor(right, ir.Constant(word, 255)), builder.shl(fractions, ir.Constant(word, 8)))
        answers.append((builder.or_(notes, builder.shl(enough, ir.Constant(word, 16))), builder.block))
        builder.branch(done)

    for size, block in begin.items():
        builder.position_at_end(block)
        found = _Cells(builder, size, safe, ends, (tens, fives))
        if size < 4:
            more = builder.append_basic_block(f"enough{size}")
            difficult = builder.or_(builder.not_(found.ended), found.has_exponent)
            builder.cbranch(some(difficult), begin[size + 1], more)
            builder.position_at_end(more)
            end = found.end()
        else:
            end = found.end_of_exponent()
        enough = ir.Constant(word, size)
        if size > 2:
            signed = builder.add(found.size, builder.select(found.negative, _eight(8), _eight(0)))
            longer = builder.icmp_unsigned(">=", signed, _eight(64 * (size - 1)))
            longer = some(builder.or_(longer, found.has_exponent))
            enough = builder.select(longer, enough, ir.Constant(word, size - 1))
        finish(found, end, enough)
    builder.position_at_end(done)
    answer = builder.phi(word)
    for one, block in answers:
        answer.add_incoming(one, block)
    return answer
