"""Each gate says in a sentence what was needed, what it was and by how much."""

import math
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from mlops_dagster.declaration import Task
from mlops_dagster.evaluate.rules import Scores, SliceScore, check_names, conclude, judge
from mlops_dagster.evaluate.spec import EvaluateSpec, Gate, Threshold
from mlops_dagster.records import Outcome, Severity
from tests.lifecycle.small import cancer_spec

SLICES = (
    SliceScore(column="carrier", value="UA", rows=900, metrics={"roc_auc": 0.61, "log_loss": 0.50}),
    SliceScore(column="carrier", value="AA", rows=800, metrics={"roc_auc": 0.52, "log_loss": 0.60}),
    SliceScore(column="carrier", value="OO", rows=3, metrics={"roc_auc": 0.10, "log_loss": 2.00}),
    SliceScore(column="carrier", value="HA", rows=700, metrics={"roc_auc": math.nan}),
    SliceScore(column="origin", value="JFK", rows=900, metrics={"roc_auc": 0.1}),
)
SCORES = Scores(
    candidate={"roc_auc": 0.6342, "log_loss": 0.4981, "r2": math.nan},
    dummy={"roc_auc": 0.5, "log_loss": 0.5100},
    simple={"roc_auc": 0.6342, "log_loss": 0.4900},
    champion={"roc_auc": 0.60, "log_loss": 0.4702},
    champion_version="3",
    slices=SLICES,
)


def gate(kind, metric, **given):
    return TypeAdapter(Gate).validate_python({"kind": kind, "metric": metric, **given})


def verdict(wanted, scores=SCORES):
    check = judge(wanted, scores, name="gate")
    assert check.severity is Severity.CRITICAL
    return check.outcome, check.because


PASSED, REFUSED, OPEN = Outcome.PASSED, Outcome.REFUSED, Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("wanted", "outcome", "because"),
    [
        (
            gate("threshold", "roc_auc", at_least=0.65),
            REFUSED,
            "roc_auc 0.6342: at least 0.6500 needed, short by 0.0158.",
        ),
        (
            gate("threshold", "roc_auc", at_least=0.6342),
            PASSED,
            "roc_auc 0.6342: at least 0.6342 needed, 0.0000 to spare.",
        ),
        (
            gate("threshold", "log_loss", at_most=0.45),
            REFUSED,
            "log_loss 0.4981: at most 0.4500 needed, over by 0.0481.",
        ),
        (
            gate("threshold", "log_loss", at_most=0.6),
            PASSED,
            "log_loss 0.4981: at most 0.6000 needed, 0.1019 to spare.",
        ),
        (
            gate("threshold", "r2", at_least=0.0),
            REFUSED,
            "r2 could not be computed; at least 0.0000 is needed.",
        ),
        (
            gate("threshold", "roc_auc", at_least=0.55, slice="carrier", minimum_rows=500),
            REFUSED,
            "carrier=AA (n = 800): roc_auc 0.5200: at least 0.5500 needed, short by 0.0300.",
        ),
        (
            gate("threshold", "roc_auc", at_least=0.5, slice="carrier", minimum_rows=500),
            PASSED,
            (
                "All 2 of 4 values of carrier with enough rows pass; worst: AA with 0.5200 "
                "(n = 800). roc_auc cannot be computed for: HA."
            ),
        ),
        (
            gate("threshold", "roc_auc", at_least=0.5, slice="carrier", minimum_rows=5_000),
            OPEN,
            "No value of carrier has 5,000 rows on which roc_auc can be computed.",
        ),
        (
            gate("beats_dummy", "log_loss"),
            PASSED,
            "log_loss 0.4981 against the dummy's 0.5100: better by 0.0119, needed 0.0000.",
        ),
        (
            gate("beats_dummy", "log_loss", margin=0.02),
            REFUSED,
            "log_loss 0.4981 against the dummy's 0.5100: better by 0.0119, must be better by 0.0200.",
        ),
        (
            gate("beats_simple", "log_loss"),
            REFUSED,
            (
                "log_loss 0.4981 against the linear model's 0.4900: worse by 0.0081, "
                "must be better by 0.0000."
            ),
        ),
        (
            gate("beats_simple", "roc_auc"),
            REFUSED,
            ("roc_auc 0.6342 against the linear model's 0.6342: equal, must be better by 0.0000."),
        ),
        (
            gate("beats_champion", "log_loss"),
            REFUSED,
            (
                "log_loss 0.4981 against the champion's 0.4702 (version 3): worse by 0.0279, "
                "allowed 0.0000."
            ),
        ),
        (
            gate("beats_champion", "log_loss", tolerance=0.03),
            PASSED,
            (
                "log_loss 0.4981 against the champion's 0.4702 (version 3): worse by 0.0279, "
                "allowed 0.0300."
            ),
        ),
        (
            gate("beats_champion", "roc_auc"),
            PASSED,
            (
                "roc_auc 0.6342 against the champion's 0.6000 (version 3): better by 0.0342, "
                "allowed 0.0000."
            ),
        ),
    ],
)
def test_a_gate_says_what_was_needed_and_by_how_much(wanted, outcome, because):
    assert verdict(wanted) == (outcome, because)


def test_without_a_champion_the_comparison_is_open_and_never_a_pass():
    scores = Scores(candidate=SCORES.candidate, dummy={}, simple={})
    outcome, because = verdict(gate("beats_champion", "log_loss"), scores)
    assert (outcome, because) == (OPEN, "No champion yet: there is nothing to compare with.")


def test_a_champion_that_cannot_be_scored_is_a_refusal_with_the_reason():
    scores = Scores(
        candidate=SCORES.candidate, dummy={}, simple={}, champion_version="3",
        champion_problem="The champion (version 3) cannot score these rows: no column 'x'",
    )  # fmt: skip
    outcome, because = verdict(gate("beats_champion", "log_loss"), scores)
    assert outcome is REFUSED
    assert because.endswith("no column 'x'")


def test_a_champion_without_all_of_its_inputs_is_said():
    scores = Scores(
        candidate={"log_loss": 0.4}, dummy={}, simple={}, champion={"log_loss": 0.5},
        champion_version="3", champion_notes=("It was given null for what the rows lack: queue, rain.",),
    )  # fmt: skip
    outcome, because = verdict(gate("beats_champion", "log_loss"), scores)
    assert outcome is PASSED
    assert because.endswith("It was given null for what the rows lack: queue, rain.")


def test_a_baseline_that_could_not_be_measured_is_no_pass():
    scores = Scores(candidate={"log_loss": 0.4}, dummy={"log_loss": math.nan}, simple={})
    assert verdict(gate("beats_dummy", "log_loss"), scores)[0] is REFUSED
    assert verdict(gate("beats_simple", "log_loss"), scores)[0] is REFUSED


def test_every_gate_has_a_check_name_of_its_own():
    gates = [
        gate("threshold", "roc_auc", at_least=0.6),
        gate("threshold", "roc_auc", at_least=0.5, slice="carrier"),
        gate("threshold", "roc_auc", at_most=0.99),
        gate("threshold", "roc_auc", at_most=0.98),
        gate("beats_champion", "log_loss"),
    ]
    assert check_names(gates) == [
        "threshold_roc_auc",
        "threshold_roc_auc_by_carrier",
        "threshold_roc_auc_n2",
        "threshold_roc_auc_n3",
        "beats_champion_log_loss",
    ]


@pytest.mark.parametrize("limits", [{}, {"at_least": 0.5, "at_most": 0.6}])
def test_a_threshold_has_exactly_one_limit(limits):
    with pytest.raises(ValidationError, match="give exactly one of at_least and at_most"):
        Threshold(metric="roc_auc", **limits)


BEATS_CHAMPION = gate("beats_champion", "log_loss")
NO_ROWS = gate("threshold", "roc_auc", at_least=0.5, slice="carrier", minimum_rows=5_000)
REACHED = gate("threshold", "roc_auc", at_least=0.6)


def concluded(*gates, scores=SCORES):
    names = check_names(gates)
    checks = [judge(one, scores, name=name) for one, name in zip(gates, names, strict=True)]
    return conclude(gates, checks, scores)


def first(log_loss: float) -> Scores:
    return Scores(candidate={"log_loss": log_loss}, dummy={"log_loss": 0.51}, simple={})


def test_one_refusal_refuses_and_is_the_reason():
    outcome, because = concluded(REACHED, BEATS_CHAMPION)
    assert (outcome, because) == (REFUSED, verdict(BEATS_CHAMPION)[1])


def test_a_gate_that_could_not_be_judged_is_told_beside_those_that_passed():
    outcome, because = concluded(REACHED, NO_ROWS)
    assert outcome is PASSED
    assert because.startswith("All 1 judged gates passed. Not judged: threshold_roc_auc_by")


def test_a_candidate_that_no_gate_could_judge_is_not_accepted():
    outcome, because = concluded(NO_ROWS)
    assert outcome is OPEN
    assert because.startswith("No gate could be judged, so none passed. Not judged:")
    assert "No value of carrier has 5,000 rows" in because


@pytest.mark.parametrize(("log_loss", "outcome"), [(0.50, PASSED), (0.52, REFUSED)])
def test_the_dummy_stands_in_for_a_champion_that_does_not_exist_yet(log_loss, outcome):
    found, because = concluded(BEATS_CHAMPION, scores=first(log_loss))
    assert found is outcome
    assert because.startswith("No champion yet, so the dummy stood in: log_loss 0.5")
    found, _ = concluded(BEATS_CHAMPION, NO_ROWS, scores=first(log_loss))
    assert found is outcome


def test_without_gates_which_has_to_be_declared_every_candidate_is_accepted():
    assert concluded() == (
        PASSED,
        "No gates are declared: it was accepted without being judged.",
    )


def test_gates_that_are_left_out_are_the_dummy_and_the_champion():
    told = EvaluateSpec().gates_of(Task.BINARY)
    assert check_names(told) == ["beats_dummy_log_loss", "beats_champion_log_loss"]
    assert told[1].tolerance == 0.0
    named = EvaluateSpec(metrics=("mae", "r2")).gates_of(Task.REGRESSION)
    assert check_names(named) == ["beats_dummy_mae", "beats_champion_mae"]
    assert check_names(EvaluateSpec().gates_of(Task.REGRESSION))[0] == "beats_dummy_rmse"
    assert EvaluateSpec(gates=()).gates_of(Task.BINARY) == ()


def test_a_declaration_without_any_gate_says_what_is_lost():
    def losses(**evaluate):
        place = Path("none.csv")
        return " ".join(cancer_spec(place, evaluate=evaluate).losses)

    assert "evaluate.gates is empty: every candidate is accepted" in losses(gates=[])
    assert "gates" not in losses()
