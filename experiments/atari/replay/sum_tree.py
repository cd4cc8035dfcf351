"""Draws items in proportion to their weights, in logarithmic time."""

import numpy as np


class SumTree:
    """A complete binary tree in which each node holds the sum of the two below it.

    Node 1 is the root, and nodes 2 i and 2 i + 1 are below node i. The items are the
    lowest nodes. Sums are computed afresh, not by differences, so no error builds up.
    """

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items
        self._first = 1 << max(num_items - 1, 1).bit_length()  # of the items' nodes
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._nodes[1])

    @property
    def weights(self) -> np.ndarray:
        """The items' weights, shape ``(num_items,)``; a view that is not written to."""
        view = self._nodes[self._first : self._first + self.num_items]
        view.flags.writeable = False
        return view

    def set(self, items: np.ndarray, weights: np.ndarray) -> None:
        """Sets the weights of some items; of an item that is named twice, the last.

        Args:
          items: shape ``(n,)``, integers.
          weights: shape ``(n,)``, at least 0.
        """
        nodes = np.asarray(items) + self._first
        self._nodes[nodes] = weights
        while nodes[0] > 1:
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def fill(self, weights: np.ndarray) -> None:
        """Sets the weights of all items, shape ``(num_items,)``."""
        self._nodes[:] = 0
        self._nodes[self._first : self._first + self.num_items] = weights
        start = self._first >> 1
        while start:
            below = self._nodes[2 * start : 4 * start]
            self._nodes[start : 2 * start] = below[::2] + below[1::2]
            start >>= 1

    def draw(self, shares: np.ndarray) -> np.ndarray:
        """The items at some shares of the total.

        Args:
          shares: in [0, 1), shape ``(n,)``; items are drawn by uniform ones.

        Returns:
          Items, shape ``(n,)``; none has weight 0, unless all have.
        """
        left = np.asarray(shares) * self.total
        nodes = np.ones(len(left), np.int64)
        while nodes[0] < self._first:
            below = 2 * nodes
            first = self._nodes[below]
            # Rounding may leave a rest beyond the last weight.
            goes_right = (left >= first) & (self._nodes[below + 1] > 0)
            left = np.where(goes_right, left - first, left)
            nodes = below + goes_right
        return nodes - self._first
