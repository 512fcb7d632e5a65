"""Order statistics of some hundred to some thousand values, without sorting them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import IntArray
from .compiling import kernel

type Values = npt.NDArray[np.float32]

N_BINS = 256
_N_SAMPLE = 31


class Workspace(NamedTuple):
    """Arrays that are needed again for each source."""

    values: Values
    """The values, shape (m,)."""
    binned: Values
    """The same, those of a bin side by side, shape (m,)."""
    bins: npt.NDArray[np.uint8]
    """The bin of each value, shape (m,)."""
    first: IntArray
    """Where each bin begins, and where the last ends, shape (N_BINS + 1,)."""
    cursor: IntArray
    """Shape (N_BINS,)."""
    sample: Values
    """Some of the values, in order."""


@kernel
def workspace(n: int) -> Workspace:
    """Make room for n values."""
    return Workspace(
        np.empty(n, dtype=np.float32),
        np.empty(n, dtype=np.float32),
        np.empty(n, dtype=np.uint8),
        np.empty(N_BINS + 1, dtype=np.int64),
        np.empty(N_BINS, dtype=np.int64),
        np.empty(_N_SAMPLE, dtype=np.float32),
    )


@kernel
def put_into_bins(space: Workspace, n: int) -> None:
    """Bring the first n values into bins that follow each other: no value is larger than one in a later bin.

    The bins divide the range where a sample says that most values lie; the first and the last have the rest.
    """
    values, binned, bins, first, cursor, sample = space
    low, inverse = _range(values, n, sample)
    if inverse == 0.0:
        bins[:n] = 0
    else:
        for k in range(n):
            place = (float(values[k]) - low) * inverse
            bins[k] = np.uint8(min(max(place, 0.0), N_BINS - 1.0))
    first[:] = 0
    for k in range(n):
        first[np.int64(bins[k]) + 1] += 1
    for j in range(N_BINS):
        first[j + 1] += first[j]
        cursor[j] = first[j]
    for k in range(n):
        place_in_bin = cursor[bins[k]]
        binned[place_in_bin] = values[k]
        cursor[bins[k]] = place_in_bin + 1


@kernel
def _range(values: Values, n: int, sample: Values) -> tuple[float, float]:
    """Return where the bins begin, and the inverse of their width; 0 if all values may as well be in one."""
    n_sample = min(n, _N_SAMPLE)
    for k in range(n_sample):
        value = values[k * n // n_sample]
        j = k
        while j > 0 and sample[j - 1] > value:
            sample[j] = sample[j - 1]
            j -= 1
        sample[j] = value
    quarter = n_sample // 4
    spread = float(sample[n_sample - 1 - quarter]) - float(sample[quarter])
    low = float(sample[quarter]) - spread
    # Also false for infinite values.
    if not 0.0 < spread < np.inf:
        return 0.0, 0.0
    return low, N_BINS / (3.0 * spread)


@kernel
def value_of_rank(space: Workspace, rank: int) -> float:
    """Return the value that would be at a place, counting from 0, were the values in order."""
    j = np.searchsorted(space.first, rank, side="right") - 1
    return _move_to_rank(space.binned, space.first[j], space.first[j + 1], rank)


@kernel
def quantile(space: Workspace, n: int, fraction: float) -> float:
    """Return a quantile of n values that are in bins, linear between the two nearest ranks."""
    place = fraction * (n - 1)
    rank = int(place)
    weight = place - rank
    below = value_of_rank(space, rank)
    above = value_of_rank(space, rank + 1) if weight > 0.0 else below
    # Between infinities there would be NaN.
    return below if below == above else (1.0 - weight) * below + weight * above


@kernel
def _move_to_rank(values: Values, first: int, stop: int, rank: int) -> float:
    """Reorder values from ``first`` to before ``stop`` until the one of a rank is in its place, and return it.

    This is Hoare's quickselect; the pivot is the median of the first, middle and last value.
    """
    low, high = first, stop - 1
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        # What stands between right and left equals the pivot.
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            break
    return float(values[rank])
