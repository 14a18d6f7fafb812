"""Planted defects: they are really there, and really gone afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from companion import loggaussian
from companion.papers import defects
from companion.papers.defects import Patch, planted


def test_a_defect_is_there_inside_the_block_only():
    before = loggaussian.lag_sum
    with planted(defects.no_interlayer_term):
        assert loggaussian.lag_sum is not before
        assert loggaussian.lag_sum(np.sin, 0.5, 9) == 0
    assert loggaussian.lag_sum is before


def test_a_defect_is_taken_out_after_an_error():
    before = loggaussian.sine_of
    with pytest.raises(RuntimeError, match="oops"), planted(defects.flat_sine):
        raise RuntimeError("oops")
    assert loggaussian.sine_of is before


def test_several_patches_of_one_name_are_undone_in_order():
    before = loggaussian.sine_of
    with Patch() as patch:
        defects.flat_sine(patch)
        patch.setattr(loggaussian, "sine_of", abs)
    assert loggaussian.sine_of is before


def test_a_patch_of_nothing_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'gone'"), Patch() as patch:
        patch.setattr(loggaussian, "gone", abs)


def test_every_defect_says_what_it_does():
    for name in defects.__all__:
        assert name == "Defect" or getattr(defects, name).__doc__, name
