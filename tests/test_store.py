"""The column store: any chunks, any share of memory, any columns give what was put in."""

import errno
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miscreen.errors import ResourceError
from miscreen.tables.store import ColumnStore


def filled(values, cuts, memory_bytes, folder):
    """A store with the rows of `values`, shape (n_columns, n_rows), cut where `cuts` says."""
    store = ColumnStore(len(values), memory_bytes, folder)
    edges = [0, *sorted(cuts), values.shape[1]]
    for first, last in pairwise(edges):
        store.append(np.ascontiguousarray(values[:, first:last]))
    return store


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_reads_what_was_appended(data, tmp_path_factory):
    n_columns = data.draw(st.integers(1, 40))
    n_rows = data.draw(st.integers(1, 30))
    cuts = data.draw(st.lists(st.integers(0, n_rows), max_size=5))
    memory = data.draw(st.integers(0, 8 * n_columns * n_rows))
    columns = np.array(data.draw(st.lists(st.integers(0, n_columns - 1), max_size=50)), dtype=np.intp)
    values = np.arange(n_columns * n_rows, dtype=float).reshape(n_columns, n_rows)
    store = filled(values, cuts, memory, tmp_path_factory.getbasetemp())
    read = store.read(columns)
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, values[columns])
    assert store.held_bytes <= memory
    assert store.held_bytes + store.scratch_bytes == values.nbytes
    store.close()


@pytest.mark.parametrize("rows_a_chunk", [1, 3, 700])
def test_distant_columns_come_from_scratch_in_the_order_asked_for(rows_a_chunk, tmp_path):
    values = np.random.default_rng(0).random((3000, 700))
    store = filled(values, range(rows_a_chunk, 700, rows_a_chunk), 0, tmp_path)
    assert store.held_bytes == 0
    for columns in ([2999, 0, 1, 2, 1500], range(10, 600), [5], [7, 7, 6], range(0, 3000, 2)):
        np.testing.assert_array_equal(store.read(np.array(columns)), values[list(columns)])
    store.close()


def test_every_bit_of_a_number_survives_scratch(tmp_path):
    bits = np.array([[0x7FF8000000000001], [0x8000000000000000], [1], [0x7FF0000000000000]], dtype=np.uint64)
    store = filled(bits.view(np.float64), [], 0, tmp_path)
    np.testing.assert_array_equal(store.read(np.arange(4)).view(np.uint64), bits)
    store.close()


def test_nothing_is_ever_visible_in_the_scratch_directory(tmp_path):
    store = filled(np.ones((10, 10)), [5], 0, tmp_path)
    assert store.scratch_bytes == 800
    assert list(tmp_path.iterdir()) == []
    store.close()
    assert store.scratch_bytes == 0


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closing_gives_the_file_back(tmp_path):
    before = open_files()
    store = filled(np.ones((10, 10)), [5], 0, tmp_path)
    assert open_files() == before + 1
    store.close()
    store.close()
    assert open_files() == before


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = ColumnStore(100, 0, tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ResourceError, match=f"{tmp_path}.*is full: 800 bytes.*scratch_dir"):
        store.append(np.ones((100, 1)))


def test_short_writes_and_reads_are_completed(tmp_path, monkeypatch):
    write, preadv = os.write, os.preadv
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    monkeypatch.setattr(os, "preadv", lambda fd, into, offset: preadv(fd, [into[0][:5]], offset))
    values = np.random.default_rng(1).random((9, 4))
    store = filled(values, [2], 0, tmp_path)
    np.testing.assert_array_equal(store.read(np.arange(9)), values)
    store.close()


def test_an_unusable_scratch_directory_is_named(tmp_path):
    gone = tmp_path / "gone"
    with pytest.raises(ResourceError, match=r"gone.*cannot be written"):
        ColumnStore(1, 0, Path(gone)).append(np.ones((1, 1)))
