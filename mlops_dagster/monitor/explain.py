"""Where a higher loss comes from: slices and features ranked by what they explain. Pure.

The rise of the mean loss is split, column by column, over the groups of that column (labels, or tenths
of a number). Of one group it is `share now * loss now - share then * loss then`, beside what the whole
was then; it has two parts: the group became more frequent (mix), or worse (within).

A column ranks by how unevenly its groups became worse, beyond what chance gives at their number of
labels: where all groups rose alike the column explains nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlops_dagster.metrics.losses import LossSketch
from mlops_dagster.profiles.answers import GroupLosses

FEWEST = 30
MOST_COLUMNS = 8
SHOWN_GROUPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRise:
    """One group of a column: its shares and losses then and now, and its parts of the rise."""

    name: str
    share_before: float
    share_now: float
    before: float
    now: float
    within: float
    mix: float
    z: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRise:
    """What one column explains of the rise of the loss, all in units of the loss.

    `uneven` is the root mean square by which its groups rose apart from one another, beyond chance;
    `mix` the part that comes from how frequent they are.
    """

    column: str
    kind: str
    uneven: float
    mix: float
    groups: tuple[GroupRise, ...]

    @property
    def explains(self) -> float:
        """What it ranks by."""
        return self.uneven + abs(self.mix)


def explain_rise(
    columns: Sequence[tuple[str, GroupLosses, Mapping[str, LossSketch]]],
    *,
    before: LossSketch,
    now: LossSketch,
) -> list[ColumnRise]:
    """Rank columns, the most telling first; each comes as (kind, losses then, losses now)."""
    found = [_column(kind, then, groups, totals=(before, now)) for kind, then, groups in columns]
    return sorted(
        (one for one in found if one is not None),
        key=lambda one: -one.explains,
    )


def _column(
    kind: str,
    then: GroupLosses,
    groups: Mapping[str, LossSketch],
    *,
    totals: tuple[LossSketch, LossSketch],
) -> ColumnRise | None:
    before, now = totals
    names = sorted({*then.losses, *groups})
    sides = [(name, then.losses.get(name, _NONE), groups.get(name, _NONE)) for name in names]
    # What is left when the mix is taken out: by this much the groups became worse on average.
    level = sum(
        new.rows / now.rows * (new.mean - (old.mean if old.rows else before.mean))
        for _, old, new in sides
    )
    rises = [
        _group(name, old, new, before=before, now=now, level=level) for name, old, new in sides
    ]
    if len(rises) < 2:
        return None
    judged = [one for one in rises if math.isfinite(one.z)]
    excess = sum(
        one.share_now * ((one.now - one.before - level) ** 2) * (1 - 1 / max(one.z**2, 1.0))
        for one in judged
    )
    return ColumnRise(
        column=then.grouping.column,
        kind=kind,
        uneven=math.sqrt(max(excess, 0.0)),
        mix=sum(one.mix for one in rises),
        groups=tuple(sorted(rises, key=lambda one: -(one.within + one.mix))),
    )


_NONE = LossSketch(rows=0, mean=0.0, sd=0.0, skew=0.0)


def _group(
    name: str,
    old: LossSketch,
    new: LossSketch,
    *,
    before: LossSketch,
    now: LossSketch,
    level: float,
) -> GroupRise:
    share_before, share_now = old.rows / before.rows, new.rows / now.rows
    # A group that was not there then is held against the whole.
    base = old.mean if old.rows else before.mean
    worse = new.mean - base if new.rows else 0.0
    enough = min(old.rows, new.rows) >= FEWEST
    error = math.sqrt(old.sd**2 / old.rows + new.sd**2 / new.rows) if enough else 0.0
    return GroupRise(
        name=name,
        share_before=share_before,
        share_now=share_now,
        before=base,
        now=new.mean if new.rows else base,
        within=share_now * worse,
        mix=(share_now - share_before) * (base - before.mean),
        z=(worse - level) / error if error > 0 else math.nan,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The columns of one window, the most telling first."""

    metric: str
    before: LossSketch
    now: LossSketch
    ranked: tuple[ColumnRise, ...]

    @property
    def rise(self) -> float:
        """By how much the mean loss is higher than in the holdout."""
        return self.now.mean - self.before.mean

    @property
    def sentence(self) -> str:
        """Name what explains most."""
        if not self.ranked or not self.ranked[0].explains:
            return " No slice and no feature explains it alone: groups of all rose alike."
        first = self.ranked[0]
        return f" Explained most by {first.column}: {_told(first.groups[0], self.rise)}."

    @property
    def table(self) -> str:
        """Draw the ranking."""
        head = (
            f"{self.metric} {self.before.mean:.4f} in the holdout, {self.now.mean:.4f} now: "
            f"{self.rise:+.4f}. What explains it, first what explains most:\n\n"
            "| | column | uneven | mix | where |\n|---|---|---:|---:|---|\n"
        )
        lines = [_line(one, self.rise) for one in self.ranked[:MOST_COLUMNS]]
        tail = (
            "\n\n`uneven`: how far apart the column's groups rose, beyond chance. `mix`: what comes of "
            "groups being more or less frequent. A column that moves with the cause ranks with it."
        )
        return head + "\n".join(lines) + tail


def _line(one: ColumnRise, rise: float) -> str:
    told = "; ".join(_told(group, rise) for group in one.groups[:SHOWN_GROUPS])
    cells = (one.kind, one.column, f"{one.uneven:.4f}", f"{one.mix:+.4f}", told)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _told(group: GroupRise, rise: float) -> str:
    part = group.within + group.mix
    share = f"{part / rise:.0%} of the rise" if rise > 0 else f"{part:+.4f}"
    return f"{group.name}: {group.before:.3f} → {group.now:.3f}, {group.share_now:.0%} of the rows, {share}"
