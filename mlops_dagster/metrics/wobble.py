"""How far windows are apart anyway, beyond chance: what a limit allows for besides the rows' own chance."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from mlops_dagster.metrics.limits import FEWEST_WINDOWS

# Fewer windows of one part tell nothing; of several parts together they may.
FEWEST_OF_A_PART = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wobble:
    """How far a window is off by more than chance, as a standard deviation, and how many tell it.

    `of` tells whose windows they are: of one slice, of all slices of a column, or of all rows.
    """

    sd: float
    windows: int
    of: Literal["slice", "slices", "all"] = "slice"

    def times(self, scale: float) -> "Wobble":
        """Bring it to another unit."""
        return replace(self, sd=self.sd * scale)

    def of_all(self) -> "Wobble":
        """The same, as all rows lend it to a part."""
        return replace(self, of="all")

    def widen(self, reach: float, *, quantile: float) -> float:
        """Tell how far off one may be by chance, which reaches so far at this quantile, and by wobble.

        The two are independent, so their squares add up. Few windows know their spread badly: so it is
        Student's quantile.
        """
        from scipy.special import stdtrit

        return math.hypot(reach, float(stdtrit(self.windows - 1, quantile)) * self.sd)

    @property
    def told(self) -> str:
        """What a limit with it allows for."""
        match self.of:
            case "slice":
                return f"how this slice's {self.windows} windows differ from the others' anyway"
            case "slices":
                return f"how the slices' {self.windows} windows differ from the others' anyway"
            case "all":
                return f"how the {self.windows} windows of all rows differ anyway"


def wobble_of(
    squares: float, by_chance: float, *, windows: int, of_means: float | None = None
) -> Wobble:
    """Take chance off the mean square of what was seen; what is left is wobble.

    Differences of means add up by their squares. A distance also has the noise of a distribution's
    shape, which no longer shows once it moved: from `by_chance` at rest to `of_means` far away.
    """
    mean = by_chance if of_means is None else min(of_means, by_chance)
    root = math.sqrt(max(squares**2 - 4 * (by_chance - mean) * mean, 0.0))
    return Wobble(sd=math.sqrt(max((squares + root) / 2 - mean, 0.0)), windows=windows)


def together(own: Wobble | None, parts: Iterable[Wobble | None]) -> Wobble | None:
    """Take what all parts tell together, and no less than a part's own few windows do.

    None with fewer than 20 windows in all.
    """
    known = [one for one in parts if one]
    windows = sum(one.windows for one in known)
    if windows < FEWEST_WINDOWS:
        return None
    usual = math.sqrt(sum(one.sd**2 for one in known) / len(known))
    return Wobble(sd=max(usual, own.sd if own else 0.0), windows=windows, of="slices")
