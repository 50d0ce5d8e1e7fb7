"""The last validation as one HTML page that needs nothing but a browser."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mlops_dagster.records import Check, Outcome, rounded
from mlops_dagster.stores.described import grouped, moment
from mlops_dagster.validate.ruling import Ruling
from mlops_dagster.workbench import StepContext

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d5dae0; --soft: #5b6470;
  --good: #1a7f37; --bad: #b3261e; --warn: #8a5a00; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171b; --line: #343b44;
  --soft: #9aa4b0; --good: #57c16f; --bad: #ff8a80; --warn: #e3b341; --card: #1c2127; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); font-size: .9rem; }
article { border: 1px solid var(--line); border-left: 4px solid var(--line); border-radius: 6px;
  background: var(--card); padding: .7rem .9rem; margin: .6rem 0; }
.passed { border-left-color: var(--good); } .refused { border-left-color: var(--bad); }
.shown { border-left-color: var(--warn); }
b.passed { color: var(--good); } b.refused { color: var(--bad); } b.shown { color: var(--warn); }
code { font-size: .9em; } dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem;
  margin: .5rem 0 0; font-size: .9rem; } dt { color: var(--soft); } dd { margin: 0; }
"""


def write_report(
    context: StepContext, *, rulings: Sequence[Ruling], checks: Sequence[Check]
) -> Path:
    """Write the page of this validation in place of the last one; give its path.

    One that refused a batch is kept beside it under its run's name too, and that path is given.
    """
    about = f"Judged {moment(context.at)} in run {context.run_id}."
    text = render(context.model.address, about, rulings=rulings, checks=checks)
    last = context.keep_report("validation.html", text)
    if all(one.accepted for one in rulings):
        return last
    return context.keep_report(f"validation-refused-{context.run_id[:8]}.html", text)


def render(address: str, about: str, *, rulings: Sequence[Ruling], checks: Sequence[Check]) -> str:
    """Draw the page: first the batches, then each expectation, the broken ones on top."""
    title = escape(f"Validation of {address}")
    ordered = sorted(checks, key=lambda check: check.outcome is Outcome.PASSED)
    batches = "".join(_batch(one) for one in rulings)
    rules = "".join(_rule(one) for one in ordered) or "<p>No expectations are declared.</p>"
    broken = sum(check.outcome is not Outcome.PASSED for check in checks)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{title}</h1><p class="soft">{escape(about)}</p>'
        f"<h2>Batches</h2>{batches}"
        f"<h2>Expectations: {len(checks) - broken} hold, {broken} do not</h2>{rules}"
        "</body></html>\n"
    )


def _batch(ruling: Ruling) -> str:
    kind = "passed" if ruling.accepted else "refused"
    word = "Accepted" if ruling.accepted else "Refused"
    return (
        f'<article class="{kind}"><p><b class="{kind}">{word}</b> batch {ruling.batch}: '
        f"{grouped(ruling.rows)} rows, {grouped(len(ruling.kept_out))} in quarantine</p>"
        f'<p class="soft">{escape(ruling.because)}</p></article>'
    )


def _rule(check: Check) -> str:
    holds = check.outcome is Outcome.PASSED
    kind = "passed" if holds else "refused" if check.severity == "critical" else "shown"
    facts = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd><code>{escape(str(rounded(one.value)))}</code></dd>"
        for name, one in check.shown.items()
    )
    return (
        f'<article class="{kind}"><p><b class="{kind}">{"Holds" if holds else "Broken"}</b> '
        f'<code>{escape(check.name)}</code> <span class="soft">{escape(check.severity)}</span></p>'
        f"<p>{escape(check.because)}</p><dl>{facts}</dl></article>"
    )
