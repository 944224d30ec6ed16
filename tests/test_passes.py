"""Forward passes that fail are halved down to the item to blame; the batch size that fits is remembered."""

import os

import pytest
import torch

from workers.failures import OutOfMemory
from workers.inference.passes import GOOD_PASSES, Passes


def fussy(most=100, bad=()):
    """Return work that fails for more than ``most`` items or a bad one, and the sizes that it was called with."""
    sizes = []

    def work(items):
        sizes.append(len(items))
        if len(items) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if set(items) & set(bad):
            raise RuntimeError("cannot do that")
        return [item * 10 for item in items]

    return work, sizes


def test_failing_items_are_found_and_the_rest_is_done():
    work, _ = fussy(bad={3, 6})
    found = Passes().run(work, range(8))
    assert [isinstance(one, RuntimeError) for one in found] == [item in (3, 6) for item in range(8)]
    assert [one for one in found if not isinstance(one, Exception)] == [0, 10, 20, 40, 50, 70]


def test_the_size_that_fits_is_remembered():
    work, sizes = fussy(most=3)
    passes = Passes()
    assert passes.run(work, range(10)) == [item * 10 for item in range(10)]
    assert passes.most <= 3
    sizes.clear()
    assert passes.run(work, range(10)) == [item * 10 for item in range(10)]
    assert max(sizes) <= 3


def test_a_bad_item_makes_no_smaller_passes():
    work, sizes = fussy(bad={3})
    passes = Passes()
    passes.run(work, range(8))
    sizes.clear()
    passes.run(work, range(8, 16))
    assert sizes == [8]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
    ],
)
def test_an_item_that_does_not_fit_is_distinguished_from_a_broken_one(error):
    def work(items):
        raise error

    (found,) = Passes().run(work, [1])
    assert isinstance(found, OutOfMemory)


def test_after_many_good_passes_larger_ones_are_tried_again():
    work, _ = fussy(most=3)
    passes = Passes()
    passes.run(work, range(8))
    assert passes.most == 2
    passes.run(work, range(2 * GOOD_PASSES + 2))
    assert passes.most == 4
    passes.run(work, range(8))
    assert passes.most == 2


def test_a_gpu_that_is_broken_ends_the_process(monkeypatch):
    """All other items would fail, too; a new process begins with a new CUDA context."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    work, _ = fussy(bad={1})
    Passes().run(work, range(2))
    assert ends == []  # only the item is bad

    def broken():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    Passes().run(work, range(2))
    assert set(ends) == {1}


def test_a_pass_over_no_items_gives_no_results():
    assert Passes().run(lambda items: [], []) == []
