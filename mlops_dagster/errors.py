"""Everything this package raises on purpose.

MlopsError
├── SpecError          the declaration is wrong; raised while loading
├── DataNotFitError    the data breaks what the declaration promised; nothing was changed
├── GateRefusedError   a candidate, batch or record was refused; nothing was changed
├── StoreError         a backend could not answer, or holds what we cannot read
│   ├── NotFollowedError  a target does not answer from the version that it was told
│   └── ConflictError  somebody else moved first; read again and decide anew
└── MissingExtraError  an optional dependency is not installed
"""

import difflib
import re
from collections.abc import Iterable
from urllib.parse import unquote

_ACCOUNTS = {"abfs", "abfss", "wasb", "wasbs"}
_NAMED_SO = (
    r"[\w.-]*(?:passw|pwd|secret|token|credential|(?:access|account|api|private|shared)[\w.-]*key)[\w.-]*"
    r"|(?:[\w.-]*[_-])?sig(?:nature)?"
)
_PAIR = re.compile(rf"(?i)(?<![\w.-])({_NAMED_SO})=[^&;\s'\",)]+")


class MlopsError(Exception):
    """Anything this package raises on purpose."""


class SpecError(MlopsError):
    """The declaration is wrong. Raised while loading, never in a run."""

    @classmethod
    def unknown(cls, where: str, value: object, known: Iterable[str]) -> "SpecError":
        """Name the field, what stood there, the known words and the nearest one."""
        return cls(f"{where}: {value!r} is not known. {nearest(str(value), known)}")


class DataNotFitError(MlopsError):
    """The data breaks what the declaration promised. Nothing was changed."""

    @classmethod
    def missing_columns(
        cls, where: str, missing: Iterable[str], present: Iterable[str]
    ) -> "DataNotFitError":
        """Name the columns that are needed and absent, and the nearest that are there."""
        columns = sorted(present)
        hints = " ".join(f"{name!r} is missing. {nearest(name, columns)}" for name in missing)
        return cls(f"{where}: {hints}")


class GateRefusedError(MlopsError):
    """A candidate, a batch or a record was refused. Nothing was changed."""


class StoreError(MlopsError):
    """A backend could not answer, or holds what this version cannot read."""

    @classmethod
    def unreachable(cls, store: str, address: str, cause: BaseException) -> "StoreError":
        """Say which store did not answer, where it was looked for, and what it said."""
        said = redact_in(first_line(cause), address)
        return cls(
            f"{store}: no answer from {redact(address)}: {said}. "
            "Check the address and that it runs; nothing was changed, so the step can be repeated."
        )


class NotFollowedError(StoreError):
    """A target does not answer from the version that it was told."""


class ConflictError(StoreError):
    """Somebody else moved first. Read again and decide anew."""


class MissingExtraError(MlopsError):
    """An optional dependency is not installed."""

    @classmethod
    def needed(cls, feature: str, extra: str) -> "MissingExtraError":
        """Name the feature and the command that installs what it needs."""
        return cls(f"{feature} needs an optional part: pip install 'mlops-dagster[{extra}]'")


def nearest(word: str, known: Iterable[str]) -> str:
    """Phrase the way out of a wrong word: the closest known one, else all of them."""
    words = sorted(known)
    if close := closest(word, words):
        return f"Did you mean {close!r}? Known: {words}."
    return f"Use one of {words}."


def closest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that a wrong one may stand for."""
    words = sorted(known)
    begun = [known for known in words if word and known.startswith(word)][:1]
    return next(iter(begun or difflib.get_close_matches(word, words, n=1, cutoff=0.5)), None)


def redact(address: str) -> str:
    """Cut user and password out of an address for people, and the values of its query.

    A path, or a text that is no address, loses the values that are named as secrets are.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return _PAIR.sub(r"\1=***", address)
    user = _user_of(scheme, rest)
    place, asked, query = rest[len(user) :].partition("?")
    place = _PAIR.sub(r"\1=***", place)
    names = (pair.partition("=")[0] for pair in re.split("[&;#]", query))
    told = "&".join(f"{name}=***" for name in names if name)
    return f"{scheme}://{place}{asked}{told}"


def redact_in(text: str, address: str) -> str:
    """Cut the secrets of an address out of a text that may quote it."""
    scheme, mark, rest = address.partition("://")
    user = _user_of(scheme, rest) if mark else ""
    query = rest[len(user) :].partition("?")[2]
    secrets = [user[:-1], user[:-1].partition(":")[2]]
    secrets += [pair.partition("=")[2] for pair in re.split("[&;#]", query)]
    hidden = text.replace(address, redact(address)).replace(user, "") if user else text
    for secret in (form for one in secrets for form in (one, unquote(one))):
        if len(secret) >= 3:
            hidden = hidden.replace(secret, "***")
    return _PAIR.sub(r"\1=***", hidden)


def _user_of(scheme: str, rest: str) -> str:
    """Find `user:password@`; a password may hold signs that should have been written otherwise."""
    head, _, path = rest.partition("/")
    user, found, _ = head.rpartition("@")
    if "?" in user and ":" not in user.partition("?")[0]:
        return ""
    if found:
        is_account = scheme.rpartition("::")[2].lower() in _ACCOUNTS and ":" not in user
        return "" if is_account else f"{user}@"
    _, colon, port = head.rpartition(":")
    if colon and "@" in path and not port.isdecimal():
        return f"{rest.rpartition('@')[0]}@"
    return ""


def first_line(error: BaseException) -> str:
    """Shorten what a backend said to its first line; a traceback has the rest."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
