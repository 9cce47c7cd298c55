"""Tokens: a signed word that whoever holds it may see and cancel one job, for a while. Nothing is stored for them.

A token names the job and when it ends; the signature is all its protection, so it is as secret as a password. Secrets
are given newest first: the first signs, all are believed, so that a secret can be replaced while old tokens run out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from .errors import BadOption, ExtraMissing, SecretMissing

SHORTEST_SECRET = 16  # characters; what is shorter can be guessed
LONGEST_LIFE = 366 * 86_400.0  # seconds
LONGEST_TOKEN = 1_000  # characters; ours have about 150
_SALT = "jobsworth.job-token.1"


class Tokens:
    """Makes and reads the tokens of one program.

    secrets: newest first; a text holds several with commas between them. None or "": no tokens are made or believed.
    """

    def __init__(self, secrets: str | Sequence[str] | None) -> None:
        given = secrets.split(",") if isinstance(secrets, str) else list(secrets) if secrets is not None else []
        self._secrets = [each.strip() for each in given if each.strip()]
        for each in self._secrets:
            if len(each) < SHORTEST_SECRET:
                raise BadOption(
                    f"a secret of {len(each)} characters can be guessed",
                    hint=f"at least {SHORTEST_SECRET}: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
                )
        self._serializer: Any = None

    def __repr__(self) -> str:
        return f"<Tokens, {len(self._secrets)} secrets>"

    def sign(self, job_id: str, lifetime: float) -> str:
        """A token for that job which ends in `lifetime` seconds. Raises SecretMissing, ExtraMissing or BadOption."""
        if not self._secrets:
            raise SecretMissing(
                "there is no secret to sign tokens with",
                hint="set JOBSWORTH_SECRET, or pass Jobsworth(secret=...); the same in every process of the app",
            )
        given: Any = lifetime
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given <= LONGEST_LIFE:
            raise BadOption(f"lifetime must be above 0 and at most a year, in seconds, not {lifetime!r}")
        return str(self._own().dumps([job_id, int(time.time() + lifetime)]))

    def read(self, token: str) -> str | None:
        """The id of the job it is for; None if it is forged, has run out, or is none at all."""
        if not self._secrets or len(token) > LONGEST_TOKEN:
            return None
        from itsdangerous import BadData

        try:
            said = self._own().loads(token)
        except BadData:
            return None
        # Signed by us, so of our form; but a secret may be shared with somebody who signs other things.
        match said:
            case [str(job_id), int(until)] if time.time() < until:
                return job_id
            case _:
                return None

    def _own(self) -> Any:
        if self._serializer is None:
            try:
                from itsdangerous import URLSafeSerializer
            except ImportError as exc:
                raise ExtraMissing(
                    "tokens need itsdangerous, which is not installed", hint="pip install 'jobsworth[web]'"
                ) from exc
            # It wants them oldest first.
            self._serializer = URLSafeSerializer(
                self._secrets[::-1], salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
            )
        return self._serializer
