"""Stage one's vectors, laid out so that a graph of neighbours finds its way.

An HNSW index links songs that are near each other and follows these links towards a query. It works well when songs
that queries can hardly tell apart are near each other. By l0 they are not: photos' queries v' differ along some of its
axes only, and lie apart from the songs. A song is therefore kept as (D + 1,)

    [A (l0 - mean) ; rest] / R,    A = (E[v' v'^T] + ridge)^(1/2),    rest = (R^2 - |A (l0 - mean)|^2)^(1/2)

and a query as R [A^(-1) v' ; 0]. Their inner product is <v', l0 - mean> as before; |A (x - y)|^2 is by how much queries
tell two songs apart, in the mean square; and as nearly all songs are 1 long, the largest inner product is also the
nearest song (Bachrach et al. 2014). The few that are longer than R have no rest.

A search visits thousands of songs, each at another place of the memory unless neighbours lie next to each other. Their
order is that of a k-d tree (Bentley 1975) of 2^24 cells: it halves the songs along the axis in which they still
differ most, where as many lie on one side as on the other if they are spread normally.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

# Of the mean variance: what queries may differ by along axes of which the reference photos show little.
RIDGE = 0.3
# R in root mean squares of |A (l0 - mean)|: hardly a song is longer, and little is left for ``rest``.
RADIUS = 1.6
# How often the cells of the k-d tree are halved.
HALVED = 24

Vectors = NDArray[np.float32]


class SearchSpace:
    """Of one release: by queries v' (R, D) of its reference photos, and the mean (D,) and covariance (D, D) of l0."""

    def __init__(self, queries: Vectors, mean: Vectors, covariance: Vectors) -> None:
        moment = queries.astype(np.float64).T @ queries / len(queries)
        values, axes = np.linalg.eigh(moment)
        values = np.maximum(values, 0.0) + RIDGE * max(float(values.mean()), 1e-6)
        # Symmetric roots, which do not depend on the axes' signs: they are the same on any machine.
        onward, back = (axes * values**0.5) @ axes.T, (axes * values**-0.5) @ axes.T
        radius = RADIUS * max(float(np.trace(onward @ covariance @ onward)), 1e-6) ** 0.5
        self.mean = mean
        self.onward: Vectors = (onward / radius).astype(np.float32)
        self.back: Vectors = (back * radius).astype(np.float32)
        # The principal axes of the songs there, the largest part of each above 0: the same on any machine, too.
        variances, principal = np.linalg.eigh(onward @ covariance @ onward / radius**2)
        largest = np.take_along_axis(principal, np.abs(principal).argmax(0)[None], 0)
        self.principal: Vectors = (principal * np.sign(largest)).astype(np.float32)
        self.spread: Vectors = np.sqrt(np.maximum(variances, 1e-12)).astype(np.float32)

    def songs(self, pooled: Vectors) -> Vectors:
        """l0 (N, D) to (N, D + 1)."""
        placed = (pooled - self.mean) @ self.onward
        rest = np.sqrt(np.maximum(1.0 - np.square(placed).sum(1, keepdims=True), 0.0))
        found: Vectors = np.hstack([placed, rest])
        return found

    def query(self, query: Vectors) -> Vectors:
        """v' (D,) to (D + 1,)."""
        return np.append(self.back @ query, np.float32(0.0))

    def cells(self, songs: Vectors) -> NDArray[np.int32]:
        """In which cell each of the songs (N, D + 1) lies, (N,); near ones are near each other."""
        standing = torch.from_numpy(songs[:, :-1] @ self.principal / self.spread)
        shares = torch.special.ndtr(standing).numpy()  # of all songs, that lie below: (N, D), 0 to 1
        found, width = np.zeros(len(songs), np.int32), self.spread.copy()
        for _ in range(HALVED):
            axis = width.argmax()
            width[axis] /= 2
            shares[:, axis] *= 2
            upper = shares[:, axis] >= 1
            shares[:, axis] -= upper
            found = 2 * found + upper
        return found

    def differences(self, songs: Vectors) -> Vectors:
        """From (N, D + 1) by how much each song differs from the mean one, l0 - mean (N, D)."""
        found: Vectors = songs[:, :-1] @ self.back
        return found
