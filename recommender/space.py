"""The coordinates in which stage-one vectors are stored, so that an HNSW index searches them well.

An HNSW index links songs that are near each other and follows these links towards a query. It works well when songs
with nearly the same relevance for all queries are near each other. With plain l0 they are not: the photo queries v'
differ along only some of its axes, and lie apart from the songs. A song is therefore stored as (D + 1,)

    [A (l0 - mean) ; rest] / R,    A = (E[v' v'^T] + ridge)^(1/2),    rest = (R^2 - |A (l0 - mean)|^2)^(1/2)

and a query is R [A^(-1) v' ; 0]. Their inner product is still <v', l0 - mean>. |A (x - y)|^2 is the mean squared
difference between the relevances of two songs, over the queries. Nearly all stored vectors have length 1, so the song
with the largest inner product is also the nearest one (Bachrach et al. 2014). The few songs with |A (l0 - mean)| > R
have rest = 0.

A search visits thousands of songs. Rows are ordered by the cells of a k-d tree (Bentley 1975), so that near songs are
near each other in memory. The tree halves the songs HALVINGS times, each time along the axis in which they differ most,
at the median of a normal distribution.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

# Ridge term, as a fraction of the mean eigenvalue: for axes along which the reference photos hardly differ.
RIDGE = 0.3
# R as a multiple of the root mean square of |A (l0 - mean)|: hardly any song is longer, and ``rest`` stays small.
RADIUS = 1.6
# Levels of the k-d tree: it has 2^24 cells.
HALVINGS = 24

Vectors = NDArray[np.float32]


class SearchSpace:
    """The space of one release, from photo queries (R, D) of its reference photos, and mean and covariance of l0."""

    def __init__(self, queries: Vectors, mean: Vectors, covariance: Vectors) -> None:
        moment = queries.astype(np.float64).T @ queries / len(queries)
        values, axes = np.linalg.eigh(moment)
        values = np.maximum(values, 0.0) + RIDGE * max(float(values.mean()), 1e-6)
        # Symmetric roots do not depend on the signs of the eigenvectors, so that every machine gets the same space.
        root, inverse = (axes * values**0.5) @ axes.T, (axes * values**-0.5) @ axes.T
        radius = RADIUS * max(float(np.trace(root @ covariance @ root)), 1e-6) ** 0.5
        self.mean = mean
        self.transform: Vectors = (root / radius).astype(np.float32)  # A / R
        self.inverse: Vectors = (inverse * radius).astype(np.float32)  # R A^(-1)
        # Principal axes of the stored songs; the largest component of each is positive, again the same everywhere.
        variances, principal = np.linalg.eigh(root @ covariance @ root / radius**2)
        largest = np.take_along_axis(principal, np.abs(principal).argmax(0)[None], 0)
        self.principal: Vectors = (principal * np.sign(largest)).astype(np.float32)
        self.deviations: Vectors = np.sqrt(np.maximum(variances, 1e-12)).astype(np.float32)

    def songs(self, pooled: Vectors) -> Vectors:
        """Transform l0, (N, D), to stored vectors, (N, D + 1)."""
        placed = (pooled - self.mean) @ self.transform
        rest = np.sqrt(np.maximum(1.0 - np.square(placed).sum(1, keepdims=True), 0.0))
        stored: Vectors = np.hstack([placed, rest])
        return stored

    def query(self, query: Vectors) -> Vectors:
        """Transform a photo query v', (D,), to (D + 1,)."""
        return np.append(self.inverse @ query, np.float32(0.0))

    def cells(self, songs: Vectors) -> NDArray[np.int32]:
        """Return the number of the cell of each song (N, D + 1), (N,); near songs have near numbers."""
        standardised = torch.from_numpy(songs[:, :-1] @ self.principal / self.deviations)
        quantiles = torch.special.ndtr(standardised).numpy()  # (N, D), 0 to 1, within the cell so far
        cells, width = np.zeros(len(songs), np.int32), self.deviations.copy()
        for _ in range(HALVINGS):
            axis = width.argmax()
            width[axis] /= 2
            quantiles[:, axis] *= 2
            upper = quantiles[:, axis] >= 1
            quantiles[:, axis] -= upper
            cells = 2 * cells + upper
        return cells

    def differences(self, songs: Vectors) -> Vectors:
        """Return l0 - mean of stored songs, (N, D), from (N, D + 1)."""
        differences: Vectors = songs[:, :-1] @ self.inverse
        return differences
