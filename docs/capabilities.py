"""Write docs/capabilities.md: which promise is kept, by the test that is named after it."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "capabilities.md"
_ROW = re.compile(r"^\| ([A-Z]{2}\d+) \| (.*) \|$")
_TEST = re.compile(r"^\s*def (test_([A-Z]{2}\d+)_\w+)\(", re.MULTILINE)


def tests_by_promise() -> dict[str, list[str]]:
    """Find the tests that are named after a promise, as `path::name`."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, promise in _TEST.findall(path.read_text()):
            found.setdefault(promise, []).append(f"{path.relative_to(ROOT)}::{name}")
    return found


def page() -> str:
    """Hold the promises against the tests."""
    tests = tests_by_promise()
    lines = [
        "# Capabilities",
        "",
        "Written by `make capabilities` from the tests; not by hand.",
        "",
    ]
    kept = total = 0
    for line in (ROOT / "docs" / "promises.md").read_text().splitlines():
        if line.startswith("## "):
            lines += ["", line, "", "| id | promise | state | test |", "|---|---|---|---|"]
        if row := _ROW.match(line):
            named = tests.get(row[1], [])
            kept, total = kept + bool(named), total + 1
            shown = "<br>".join(f"`{one}`" for one in named)
            lines.append(f"| {row[1]} | {row[2]} | {'kept' if named else 'not yet'} | {shown} |")
    lines[3] = f"{kept} of {total} promises are kept."
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page())
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}: {page().splitlines()[3]}\n")
