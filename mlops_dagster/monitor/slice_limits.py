"""How far the answers of a slice may move beside all others: by chance, and as windows differ anyway."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlops_dagster.metrics.limits import FEWEST_WINDOWS
from mlops_dagster.metrics.wobble import Wobble
from mlops_dagster.monitor.drift import CHANCE_ONLY
from mlops_dagster.monitor.limits import NULLS, Limits
from mlops_dagster.monitor.pairs import Pair, pair_of_values
from mlops_dagster.monitor.spec import SAFE_ROWS, DriftSpec
from mlops_dagster.profiles.alike import Beside, moved_alike, parts_beside, windows_beside
from mlops_dagster.profiles.columns import TableProfile, merge, subtract


def expected_of(before: Beside, now: Beside) -> TableProfile:
    """Expect a slice to be as it was, or moved as all others did, whichever it is nearer to.

    As it was is never drift: where one large slice moves, the rest did not move otherwise than it.
    """
    if min(before.others.rows, now.others.rows) < SAFE_ROWS:
        return before.own
    moved = moved_alike(before.own, before.others, now.others)
    return min((moved, before.own), key=lambda one: _apart(one, now.own))


def _apart(before: TableProfile, now: TableProfile) -> float:
    pairs = [pair_of_values(name, one, now.columns[name]) for name, one in before.columns.items()]
    return sum(float(one.distance(one.reference, one.current)) for one in pairs)


class SliceLimits(Limits):
    """The limits of one slice's answers beside all others', drawn or measured once.

    Its own windows tell how it moves otherwise than the rest; where these are too few, how `whole`
    moves from window to window stands for it, which is more.
    """

    def __init__(
        self, before: Beside, spec: DriftSpec, *, past: Sequence[Beside], whole: Limits | None
    ) -> None:
        super().__init__(before.own, spec, apart=True)
        self.before = before
        self._beside = [one for one in past if min(one.own.rows, one.others.rows) >= SAFE_ROWS]
        self._whole = whole
        self._known: dict[str, Wobble | None] = {}

    def against(self, now: Beside) -> "LimitsNow":
        """Make the limits of one window."""
        return LimitsNow(self, now)

    def wobble(self, pair: Pair) -> Wobble | None:
        """Tell how far one more window is off by more than chance; None when too few tell it."""
        if pair.name not in self._known:
            self._known[pair.name] = self._own_wobble(pair) or self._lent(pair)
        return self._known[pair.name]

    def _own_wobble(self, pair: Pair) -> Wobble | None:
        count = len(self._beside)
        if count < FEWEST_WINDOWS or pair.name.endswith(NULLS):
            return None
        own, others = self._beside[0].own, self._beside[0].others
        for one in self._beside[1:]:
            own, others = merge(own, one.own), merge(others, one.others)
        squares = few = 0.0
        for one in self._beside:
            rest = Beside(subtract(own, one.own), subtract(others, one.others))
            expected = expected_of(rest, one)
            cells = pair_of_values(pair.name, *(x.columns[pair.name] for x in (expected, one.own)))
            squares += float(pair.widest.distance(cells.reference, cells.current)) ** 2 / count
            sizes = (one.own.rows, rest.own.rows, one.others.rows, rest.others.rows)
            few += sum(1 / rows for rows in sizes) / count
        # The reference is shorter than all other windows, so a window is farther from it.
        long = self.before.own.rows * count / own.rows
        short = math.sqrt((1 + 1 / long) / (1 + 1 / (count - 1)))
        found = self.wobble_in(pair, squares, few=few, windows=count)
        return found.times(max(short, 1.0))

    def _lent(self, pair: Pair) -> Wobble | None:
        """The wobble of all answers, where both are measured alike."""
        same = self._whole.pair_of(pair.name) if self._whole else None
        if self._whole is None or same is None or same.measure != pair.measure:
            return None
        found = self._whole.wobble_of_windows(same)
        return found.borrowed() if found else None


class LimitsNow(Limits):
    """The limits of a slice's answers in one window, beside the others of that window."""

    def __init__(self, slice_: SliceLimits, now: Beside) -> None:
        self._slice, self.now = slice_, now
        then = slice_.before
        self._others = (then.others.rows, now.others.rows)
        self.compared = min(self._others) >= SAFE_ROWS
        self.expected = expected_of(then, now)

    def chance(self, pair: Pair, *, quantile: float) -> float:
        """Tell the limit of chance alone: the others are few rows too."""
        same = self._same(pair)
        found = self._slice.chance(same, quantile=quantile)
        if not self.compared:
            return found
        own = 1 / pair.rows + 1 / max(sum(same.reference), 1)
        return found * math.sqrt(1 + sum(1 / rows for rows in self._others) / own)

    def over_time(self, pair: Pair, *, quantile: float) -> float | None:
        """Tell the distance of chance and wobble together; None when the wobble is not known."""
        found = self._slice.wobble(self._same(pair))
        if found is None:
            return None
        # A distance has no sign: half of the alarms are of either side.
        return found.widen(self.chance(pair, quantile=quantile), quantile=(1 + quantile) / 2)

    def _same(self, pair: Pair) -> Pair:
        """The pair with the reference as it was, so that what is drawn for it serves each window."""
        was = self._slice.pair_of(pair.name)
        return replace(pair, reference=was.reference) if was else pair

    def told(self, name: str) -> str:
        """Say what the limit of a pair allows for."""
        pair = self._slice.pair_of(name)
        found = self._slice.wobble(pair) if pair else None
        moved = "What all other answers moved by is taken off. " if self.compared else ""
        if found is None:
            return f"{moved}{CHANCE_ONLY}"
        return f"{moved}The limit allows for chance, and for {found.told}."


class SlicesLimits:
    """The limits of every slice, kept from window to window. `whole` are those of all answers."""

    def __init__(
        self, answers: Mapping[str, Mapping[str, TableProfile]], *, whole: Limits | None
    ) -> None:
        self._answers, self.whole = answers, whole
        self._made: dict[str, dict[str, SliceLimits]] = {}

    def of(self, column: str, spec: DriftSpec) -> dict[str, SliceLimits]:
        """Make or give the limits of each value of a column."""
        if column not in self._made:
            values = self._answers.get(column, {})
            past = windows_beside(values)
            self._made[column] = {
                name: SliceLimits(one, spec, past=past[name], whole=self.whole)
                for name, one in parts_beside(values).items()
            }
        return self._made[column]
