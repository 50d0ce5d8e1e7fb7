"""How far the answers of a slice may move beside all others: by chance, and as windows differ anyway."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlops_dagster.metrics.limits import FEWEST_WINDOWS
from mlops_dagster.metrics.wobble import FEWEST_OF_A_PART, Wobble, together
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

    Its own windows tell how it moves otherwise than the rest. Where these are too few, those of its
    `column` do together, itself among them; else how `whole` moves from window to window, which is more.
    """

    def __init__(
        self,
        before: Beside,
        spec: DriftSpec,
        *,
        past: Sequence[Beside],
        column: Mapping[str, "SliceLimits"],
        whole: Limits | None,
    ) -> None:
        super().__init__(before.own, spec, apart=True)
        self.before = before
        self._beside = [one for one in past if min(one.own.rows, one.others.rows) >= SAFE_ROWS]
        self._column, self._whole = column, whole
        self._known: dict[str, Wobble | None] = {}
        self._own: dict[str, Wobble | None] = {}

    def against(self, now: Beside) -> "LimitsNow":
        """Make the limits of one window."""
        return LimitsNow(self, now)

    def wobble(self, name: str) -> Wobble | None:
        """Tell how far one more window is off by more than chance; None when too few tell it."""
        if name not in self._known:
            found = self.own_wobble(name)
            if found is None or found.windows < FEWEST_WINDOWS:
                parts = (one.own_wobble(name) for one in self._column.values())
                found = together(found, parts) or self._lent(name)
            self._known[name] = found
        return self._known[name]

    def own_wobble(self, name: str) -> Wobble | None:
        """The same by its own windows, however few."""
        if name not in self._own:
            pair = self.pair_of(name)
            enough = len(self._beside) >= FEWEST_OF_A_PART and not name.endswith(NULLS)
            self._own[name] = self._measured(pair) if pair and enough else None
        return self._own[name]

    def _measured(self, pair: Pair) -> Wobble:
        count = len(self._beside)
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

    def _lent(self, name: str) -> Wobble | None:
        """The wobble of all answers, where both are measured alike."""
        pair, same = self.pair_of(name), self._whole.pair_of(name) if self._whole else None
        if self._whole is None or not (pair and same) or same.measure != pair.measure:
            return None
        found = self._whole.wobble_of_windows(same)
        return found.of_all() if found else None


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
        found = self._slice.wobble(pair.name)
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
        found = self._slice.wobble(name)
        beside = self.expected is not self._slice.before.own
        moved = "What all other answers moved by is taken off. " if beside else ""
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
            made = self._made[column] = {}
            for name, one in parts_beside(values).items():
                made[name] = SliceLimits(one, spec, past=past[name], column=made, whole=self.whole)
        return self._made[column]
