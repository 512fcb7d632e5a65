"""CoaddInputs: the images that a coadd was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class CoaddInputs:
    """Tables of inputs: whatever the file says of each in numbers, such as id, box, weight.

    Parameters
    ----------
    visits
        One row a visit: ``id``, ``bbox_min_x``, ...
    ccds
        One row a detector of a visit: ``id``, ``visit``, ``ccd``, ``weight``, ...
    """

    visits: Table
    ccds: Table
