"""Several photos of a post are one to the search and to the confidence."""

import numpy as np
import pytest

from recommender.model import PhotoView, Tag
from workers.suggest import _together


def test_several_photos_are_their_mean_as_surely_seen_as_the_surest():
    unsure, sure = (
        PhotoView([Tag("dog", "object", score, (0, 0, 1, 1))], np.full(4, score, np.float32)) for score in (0.2, 0.8)
    )
    found = _together([unsure, sure])
    assert found.certainty == 0.8
    assert found.embedding == pytest.approx([0.5] * 4)
    assert (_together([unsure]).embedding == unsure.embedding).all()
