"""How far windows are apart anyway, beyond chance: what a limit allows for besides the rows' own chance."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Wobble:
    """How far a window is off by more than chance, as a standard deviation, and how many tell it.

    `own` tells that the windows are the subject's own ones, not those of all rows.
    """

    sd: float
    windows: int
    own: bool = True

    def times(self, scale: float) -> "Wobble":
        """Bring it to another unit."""
        return replace(self, sd=self.sd * scale)

    def borrowed(self) -> "Wobble":
        """The same, as it is lent to a part of the rows."""
        return replace(self, own=False)

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
        if self.own:
            return f"how this slice's {self.windows} windows differ from the others' anyway"
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
