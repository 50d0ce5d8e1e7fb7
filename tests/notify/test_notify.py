"""People are told once when something is wrong and once when it is over, by real servers."""

import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from mlops_dagster.errors import MissingExtraError
from mlops_dagster.notify.channels import send
from mlops_dagster.notify.messages import message_of
from mlops_dagster.notify.run import watch
from mlops_dagster.notify.spec import NotifySpec
from mlops_dagster.records import Outcome
from tests.notify.conftest import HOOK, MODEL, NOW, Scene


def test_TE11_an_incident_is_told_once_and_once_more_when_it_is_over(scene, webhook):
    scene.promote()
    for number in range(100):
        scene.find(subject=f"answer {number}")
        if number % 25 == 0:
            assert scene.look() == []
    assert scene.look() == []
    [(_, told)] = webhook.got
    assert told["state"] == "open"
    assert told["title"] == "churn: its answers drifted"
    assert "W1 0.3 sd, limit 0.1 sd, n=900." in told["text"]
    assert "Version 3 serves, since 2026-03-01 00:00 UTC." in told["text"]
    assert told["runbook"] == "docs/runbook.md#prediction_drift"
    scene.find(week=1, outcome=Outcome.PASSED)
    assert scene.look() == scene.look() == []
    assert [one["state"] for _, one in webhook.got] == ["open", "over"]
    assert webhook.got[1][1]["incident"] == told["incident"]


def test_TE11_an_email_reaches_everybody_who_is_named(tmp_path, mailbox):
    channel = {
        "kind": "email", "server": "127.0.0.1", "port": mailbox.server_address[1],
        "starttls": False, "sender": "models@example.com", "to": ["ada@example.com", "bo@example.com"],
    }  # fmt: skip
    scene = Scene(tmp_path, channels=[channel])
    scene.find()
    assert scene.look() == []
    [(to, mail)] = mailbox.got
    assert to == ["ada@example.com", "bo@example.com"]
    assert mail["Subject"] == "churn: its answers drifted"
    assert "What to do: docs/runbook.md#prediction_drift" in mail.get_payload()


def test_a_receiver_that_refuses_gets_the_message_again_and_its_address_is_not_shown(
    scene, webhook
):
    webhook.answer = 503
    scene.find()
    [problem] = scene.look()
    assert "webhook: no answer from $CHURN_HOOK" in problem
    assert "secret-path" not in problem
    webhook.answer = 200
    assert scene.look() == []
    assert len(webhook.got) == 1


def test_one_channel_that_is_down_does_not_silence_the_other(scene, webhook, tmp_path, monkeypatch):
    monkeypatch.delenv("OTHER_HOOK", raising=False)
    both = [{"kind": "webhook", "url_variable": "OTHER_HOOK"}, HOOK]
    scene.one = replace(scene.one, spec=NotifySpec.model_validate({"channels": both}))
    scene.find()
    [problem] = scene.look()
    assert "the environment variable OTHER_HOOK is not set" in problem
    assert len(webhook.got) == 1


def test_what_was_over_before_anybody_was_told_is_not_told(scene, webhook):
    scene.find()
    watch(scene.bench, scene.one)
    scene.find(week=1, outcome=Outcome.PASSED)
    assert scene.look() == []
    assert webhook.got == []


def test_minor_drift_and_what_could_not_be_judged_are_no_incidents(scene, webhook):
    scene.find(severity="minor")
    scene.find(week=1, outcome=Outcome.NOT_APPLICABLE)
    scene.find("feature_drift")
    scene.look()
    assert webhook.got == []


def test_TE11_monitoring_that_is_overdue_is_an_incident_and_ends_with_the_next_look(scene, webhook):
    scene.find("data_age", outcome=Outcome.PASSED, window_end=None)
    scene.look()
    scene.clock.set(NOW + timedelta(days=3))
    scene.look()
    [(_, told)] = webhook.got
    assert told["title"] == "churn: nobody looked at it for too long"
    assert "The last look was at 2026-03-01 00:00 UTC, 72.0 h ago; the limit is 2d." in told["text"]
    scene.find("data_age", outcome=Outcome.PASSED, window_end=None)
    scene.look()
    assert [one["state"] for _, one in webhook.got] == ["open", "over"]


def test_apprise_is_an_extra_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("CHAT", "json://127.0.0.1:1")
    [channel] = NotifySpec.model_validate(
        {"channels": [{"kind": "apprise", "url_variable": "CHAT"}]}
    ).channels
    # None there is what Python takes for a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "apprise", None)
    message = message_of(
        MODEL, incident=1, kind="data_age", because="x", serving="", runbook="r", at=NOW
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'mlops-dagster\[apprise\]'"):
        send(channel, message)


def test_TE11_apprise_sends_to_a_receiver_on_this_machine(scene, webhook, monkeypatch):
    monkeypatch.setenv("CHAT", f"json://127.0.0.1:{webhook.server_port}/")
    chat = {"channels": [{"kind": "apprise", "url_variable": "CHAT"}]}
    scene.one = replace(scene.one, spec=NotifySpec.model_validate(chat))
    scene.find()
    assert scene.look() == []
    assert webhook.got[0][1]["title"] == "churn: its answers drifted"


def test_a_secret_in_place_of_a_variables_name_is_refused_without_showing_it():
    wrong = {"channels": [{"kind": "webhook", "url_variable": "https://hooks.example.com/T0/B1"}]}
    with pytest.raises(ValidationError, match="may be the secret itself") as raised:
        NotifySpec.model_validate(wrong)
    assert "name of an environment variable" in str(raised.value)
