"""Sends a message by webhook, e-mail or Apprise. A message that was not taken raises."""

import json
import os
import smtplib
import ssl
import urllib.request
from email.message import EmailMessage
from typing import assert_never

from mlops_dagster.errors import MissingExtraError, SpecError, StoreError
from mlops_dagster.notify.messages import Message
from mlops_dagster.notify.spec import AppriseSpec, Channel, EmailSpec, WebhookSpec

TIMEOUT_S = 10
_WEBHOOK, _EMAIL = "webhook", "e-mail"


def send(channel: Channel, message: Message) -> None:
    """Send one message by one channel.

    Raises: StoreError when it was not taken, SpecError when a variable is not set, MissingExtraError.
    """
    match channel:
        case WebhookSpec():
            _post(channel, message)
        case EmailSpec():
            _mail(channel, message)
        case AppriseSpec():
            _by_apprise(channel, message)
        case _:
            assert_never(channel)


def secret(variable: str) -> str:
    """Read a secret from the environment. Raises: SpecError when the variable is not set."""
    if value := os.environ.get(variable):
        return value
    message = (
        f"notify: the environment variable {variable} is not set. Set it where the daemon runs."
    )
    raise SpecError(message)


def _post(channel: WebhookSpec, message: Message) -> None:
    headers = {"Content-Type": "application/json"}
    if channel.token_variable:
        headers["Authorization"] = f"Bearer {secret(channel.token_variable)}"
    address = secret(channel.url_variable)
    if not address.startswith(("http://", "https://")):
        told = f"notify: {channel.url_variable} holds no http or https address."
        raise SpecError(told)
    body = json.dumps(message.as_json()).encode()
    asked = urllib.request.Request(address, data=body, headers=headers, method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S):  # noqa: S310 - checked above
            return
    except OSError as error:
        # The address is a secret: it must not stand in the log.
        raise StoreError.unreachable(_WEBHOOK, f"${channel.url_variable}", error) from None


def _mail(channel: EmailSpec, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.title, channel.sender, ", ".join(channel.to)
    mail["X-Incident"] = f"{message.model}/{message.segment}/{message.incident}/{message.state}"
    mail.set_content(message.text)
    try:
        with smtplib.SMTP(channel.server, channel.port, timeout=TIMEOUT_S) as server:
            if channel.starttls:
                server.starttls(context=ssl.create_default_context())
            if channel.user_variable and channel.password_variable:
                server.login(secret(channel.user_variable), secret(channel.password_variable))
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        place = f"{channel.server}:{channel.port}"
        raise StoreError.unreachable(_EMAIL, place, error) from error


def _by_apprise(channel: AppriseSpec, message: Message) -> None:
    try:
        import apprise
    except ImportError as error:
        feature = "notify.channels: apprise"
        raise MissingExtraError.needed(feature, "apprise") from error
    sender = apprise.Apprise()
    if not sender.add(secret(channel.url_variable)):
        told = f"notify: {channel.url_variable} holds no address that Apprise knows."
        raise SpecError(told)
    if not sender.notify(title=message.title, body=message.text):
        told = f"apprise: ${channel.url_variable} did not take the message; it is sent again later."
        raise StoreError(told)
