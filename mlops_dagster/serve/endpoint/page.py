"""The page at `/`: the version, a form with the input example, the last minutes."""

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from mlops_dagster.scoring.example import read_example
from mlops_dagster.serve.endpoint.live_model import LiveModel
from mlops_dagster.serve.endpoint.metrics import Seen

_FRAME = Path(__file__).with_name("page.html")
_MINUTES_S = 300.0
_SLICE_S = 10.0


def draw_page(live: LiveModel) -> str:
    """Write the page: one self-contained file, with the form made from the model's columns."""
    champion = live.champion
    example = read_example(champion.model.folder).inputs[0] if champion else {}
    fields = "".join(
        _field(name, kind, example.get(name))
        for name, kind in (champion.schema.kinds.items() if champion else ())
    )
    return (
        _FRAME.read_text(encoding="utf-8")
        .replace("{{name}}", escape(live.name))
        .replace("{{version}}", escape(champion.version if champion else "none"))
        .replace("{{problem}}", escape(live.problem))
        .replace("{{fields}}", fields)
    )


def traffic(recent: Iterable[Seen], *, now: float) -> dict[str, Any]:
    """Sum the last five minutes up in slices of ten seconds, the oldest first."""
    count = int(_MINUTES_S / _SLICE_S)
    slices = [{"requests": 0, "errors": 0, "ms": 0.0} for _ in range(count)]
    latencies = []
    for one in list(recent):
        at = count - 1 - int((now - one.at) / _SLICE_S)
        if at < 0 or (not one.version and one.status < 400):
            continue
        slices[at]["requests"] += 1
        slices[at]["errors"] += one.status >= 400
        slices[at]["ms"] = max(slices[at]["ms"], one.seconds * 1000)
        latencies.append(one.seconds * 1000)
    latencies.sort()
    return {
        "slices": slices,
        "slice_seconds": _SLICE_S,
        "p50_ms": _at(latencies, 0.5),
        "p95_ms": _at(latencies, 0.95),
        "requests": len(latencies),
    }


def _at(ordered: list[float], share: float) -> float | None:
    return round(ordered[int(share * (len(ordered) - 1))], 2) if ordered else None


def _field(name: str, kind: str, value: Any) -> str:
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return (
        f"<label><span>{escape(name)} <small>{escape(kind)}</small></span>"
        f'<input name="{escape(name, quote=True)}" data-kind="{kind}" '
        f'value="{escape(str(shown), quote=True)}" autocomplete="off"></label>'
    )
