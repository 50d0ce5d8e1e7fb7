"""Pictures of a candidate: one small function each, drawn without a display."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_dagster.evaluate.rules import SliceScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREY, RED = "#1f6feb", "#8a8f98", "#c4432b"
_POINTS = 2_000
_LETTERS = 28
_SLICES = 16
_SHADES = 17
_SMALL = 830


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is drawn: truth and answers on the holdout, slices, importances."""

    truth: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray | None
    labels: Sequence[Any]
    slices: Sequence[SliceScore]
    slice_metric: str
    importances: Mapping[str, float]
    importance_metric: str
    threshold: float


def draw_all(view: View, folder: Path) -> str:
    """Write each picture as a file, and give them together as one small picture in markdown."""
    from PIL import Image

    chosen = pictures_of(view)
    figure = _together(chosen, view)
    large = _pixels(figure)
    for name, axis in zip(chosen, figure.axes, strict=False):
        Image.fromarray(large[_place(axis, large)]).save(folder / f"{name}.png")
    # To draw it again for the small one takes longer.
    small = Image.fromarray(large)
    small.thumbnail((_SMALL, _SMALL), Image.Resampling.LANCZOS)
    content = BytesIO()
    # Sixteen shades a colour look alike and take half of the bytes.
    shaded = (np.round(np.asarray(small) / _SHADES) * _SHADES).astype(np.uint8)
    Image.fromarray(shaded).save(content, format="png")
    text = base64.b64encode(content.getvalue()).decode()
    return f"![the candidate on the holdout](data:image/png;base64,{text})"


def _together(chosen: Mapping[str, Callable[["Axes", View], None]], view: View) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = -(-len(chosen) // 3), 3
    figure = Figure(figsize=(3.7 * columns, 3.0 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for place, draw in enumerate(chosen.values(), start=1):
        draw(figure.add_subplot(rows, columns, place), view)
    return figure


def _pixels(figure: Any) -> np.ndarray:
    """Draw a figure: rows, columns and the three colours."""
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[:, :, :3])


def _place(axis: "Axes", pixels: np.ndarray) -> tuple[slice, slice]:
    """Tell where in the pixels, as last drawn, an axis is with its titles."""
    box = axis.get_tightbbox()
    height, width = pixels.shape[:2]
    left, low, right, high = (0, 0, width, height) if box is None else box.padded(3).extents
    return (
        slice(max(int(height - high), 0), int(height - low)),
        slice(max(int(left), 0), int(right)),
    )


def pictures_of(view: View) -> dict[str, Callable[["Axes", View], None]]:
    """Choose the pictures that a task has."""
    chosen: dict[str, Callable[[Axes, View], None]] = {}
    if len(view.labels) == 2:
        chosen |= {"roc": roc, "precision_recall": precision_recall, "calibration": calibration}
    if view.labels:
        chosen["confusion"] = confusion
    else:
        chosen |= {"predicted_and_true": predicted_and_true, "residuals": residuals}
    if view.slices:
        chosen["slices"] = slices
    if view.importances:
        chosen["importance"] = importance
    return chosen


def roc(axis: "Axes", view: View) -> None:
    """Draw true against false positive rate."""
    hits, ends = _ordered(view)
    true = np.cumsum(hits)[ends] / max(hits.sum(), 1)
    false = np.cumsum(~hits)[ends] / max((~hits).sum(), 1)
    axis.plot(np.append(0, false), np.append(0, true), color=BLUE)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    _label(axis, f"ROC (n = {len(hits):,})", "false positive rate", "true positive rate")


def precision_recall(axis: "Axes", view: View) -> None:
    """Draw precision against recall."""
    hits, ends = _ordered(view)
    found = np.cumsum(hits)[ends]
    recall, precision = found / max(hits.sum(), 1), found / (ends + 1)
    axis.plot(np.append(0, recall), np.append(precision[:1], precision), color=BLUE)
    axis.axhline(hits.mean(), color=GREY, linestyle=":")
    axis.set_ylim(0, 1)
    _label(axis, f"Precision and recall ({hits.mean():.1%} positive)", "recall", "precision")


def calibration(axis: "Axes", view: View) -> None:
    """Draw the share of positives against the predicted probability, in groups of about a tenth."""
    likely = _positive(view)
    hits = view.truth == view.labels[-1]
    # Equal probabilities stay in one group: which of them comes first says nothing.
    edges = np.unique(np.quantile(likely, np.arange(1, 10) / 10))
    group = np.searchsorted(edges, likely)
    told = [(likely[group == one].mean(), hits[group == one].mean()) for one in np.unique(group)]
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axis.plot(*zip(*told, strict=True), "o-", color=BLUE, markersize=4)
    _label(axis, "Calibration by tenths", "predicted probability", "share of positives")


def confusion(axis: "Axes", view: View) -> None:
    """Draw how often each label was answered for each true one."""
    labels = list(view.labels)[:12]
    counts = np.array(
        [[int(((view.truth == t) & (view.prediction == p)).sum()) for p in labels] for t in labels]
    )
    axis.imshow(
        counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1
    )
    size = 8 if len(labels) < 6 else 5
    for row, column in np.ndindex(counts.shape):
        share = counts[row, column] / max(counts[row].sum(), 1)
        axis.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=size,
                  color="white" if share > 0.5 else "black")  # fmt: skip
    names = [_plain(label) for label in labels]
    axis.set_xticks(range(len(labels)), names, rotation=0 if len(labels) < 4 else 90)
    axis.set_yticks(range(len(labels)), names)
    axis.tick_params(labelsize=size)
    # Of more than two labels the likeliest is answered.
    title = f"Confusion at {view.threshold:.4g}" if len(view.labels) == 2 else "Confusion"
    _label(axis, title, "predicted", "true", grid=False)


def predicted_and_true(axis: "Axes", view: View) -> None:
    """Draw predicted against true values."""
    some = _thin(np.arange(len(view.truth)))
    axis.scatter(view.truth[some], view.prediction[some], s=6, color=BLUE, alpha=0.4)
    ends = [float(np.min(view.truth)), float(np.max(view.truth))]
    axis.plot(ends, ends, color=GREY, linestyle=":")
    _label(axis, f"Predicted and true (n = {len(view.truth):,})", "true", "predicted")


def residuals(axis: "Axes", view: View) -> None:
    """Draw how far predictions are off."""
    axis.hist(view.prediction - view.truth, bins=40, color=BLUE)
    axis.axvline(0, color=GREY, linestyle=":")
    _label(axis, "Residuals", "predicted minus true", "rows")


def slices(axis: "Axes", view: View) -> None:
    """Draw the metric of each slice's values, the largest first: points, as few metrics begin at 0."""
    known = [one for one in view.slices if np.isfinite(one.metrics.get(view.slice_metric, np.nan))]
    shown = sorted(known, key=lambda one: one.rows, reverse=True)[:_SLICES][::-1]
    values = [one.metrics[view.slice_metric] for one in shown]
    names = [f"{_plain(f'{one.column}={one.value}')} ({one.rows:,})" for one in shown]
    axis.plot(values, range(len(names)), "o", color=BLUE, markersize=5)
    _names(axis, names)
    some = f", {len(shown)} of {len(view.slices)}" if len(shown) < len(view.slices) else ""
    _label(axis, f"{view.slice_metric} by slice (rows){some}", view.slice_metric, "")


def importance(axis: "Axes", view: View) -> None:
    """Draw by how much the metric falls when a feature's values are shuffled."""
    largest = sorted(view.importances.items(), key=lambda one: one[1])[-12:]
    # By place, not by name: two names that are cut alike would be one bar.
    axis.barh(range(len(largest)), [value for _, value in largest], color=BLUE)
    _names(axis, [_plain(name) for name, _ in largest])
    _label(axis, "Permutation importance", f"loss of {view.importance_metric}", "")


def _names(axis: "Axes", names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", labelsize=7)


def _plain(value: Any) -> str:
    """Keep a text short at both ends, and its dollar signs from being read as formulas."""
    text, half = str(value), _LETTERS // 2
    short = text if len(text) <= _LETTERS else f"{text[:half]}…{text[1 - half :]}"
    return short.replace("$", r"\$")


def _label(axis: "Axes", title: str, across: str, up: str, *, grid: bool = True) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(across, fontsize=8)
    axis.set_ylabel(up, fontsize=8)
    if grid:
        axis.grid(alpha=0.2)


def _positive(view: View) -> np.ndarray:
    return np.zeros(len(view.truth)) if view.probability is None else view.probability


def _ordered(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Give hits with the likeliest first, and the places at which a probability was last seen.

    Between equal probabilities there is no order, so no point of a curve lies there.
    """
    likely = _positive(view)
    order = np.argsort(-likely, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(likely[order]) != 0, True))
    return (view.truth == view.labels[-1])[order], np.append(_thin(ends)[:-1], ends[-1:])


def _thin(places: np.ndarray) -> np.ndarray:
    return places[:: max(1, len(places) // _POINTS)]
