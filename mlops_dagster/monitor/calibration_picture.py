"""Expected alarms per month by setting, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from mlops_dagster.declaration import write_duration
from mlops_dagster.monitor.calibration import Expected

ALARMS, ASKING = "#8a8a8a", "#c0392b"


def draw(found: Sequence[Expected], path: Path, *, title: str) -> None:
    """Draw a bar for each setting, with the upper end of what may be expected."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [one for one in found if not one.too_few]
    figure = Figure(figsize=(7.5, 1.4 + 0.45 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(shown))
    reach = [one.at_most - one.per_month for one in shown]
    values = [one.per_month for one in shown]
    axes.barh(places, values, 0.6, color=ALARMS, xerr=[[0.0] * len(shown), reach], capsize=3,
              label="windows that alarm (line: up to, 95 %)")  # fmt: skip
    asking = [one.asking_per_month for one in shown]
    axes.barh(places, asking, 0.3, color=ASKING, label="of these, more than minor")
    labels = [f"{write_duration(one.window)}, false_alarms {one.false_alarms:g}" for one in shown]
    axes.set_yticks(list(places), labels)
    axes.invert_yaxis()
    axes.set_xlabel("a month")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
