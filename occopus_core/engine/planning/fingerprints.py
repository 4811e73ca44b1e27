"""Digests that identify requests, to find out whether an instance would be made another way now."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from occopus_core.api.resource import CreateRequest
from occopus_core.api.ssh import HostKeyPair
from occopus_core.engine.planning.preparation import Scope, Subject
from occopus_core.render import CutOffError

PLACEHOLDER_NODE_ID = "00000000-0000-4000-8000-000000000000"
PLACEHOLDER_HOST_KEY = HostKeyPair("ssh-ed25519 AAAA", "the private half")
"""Replaces a generated key, so that each rendering gives the same result."""


def fingerprint(salt: str, request: CreateRequest) -> str:
    """A salted digest. A request may hold passwords, which could be guessed from a plain digest."""
    context = request.context
    content = [salt, dict(request.resource), context.user_data, context.env, context.command]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


def rendered_fingerprint(scope: Scope, subject: Subject) -> str:
    """The fingerprint of what the provider is asked for with the subject's values; empty if it cannot be rendered.

    The instance's id, a generated host key and the output of commands do not count. Runs in the pool.
    Raises `CutOffError`.
    """
    alike = dataclasses.replace(subject.quiet(), node_id=PLACEHOLDER_NODE_ID, host_key=lambda: PLACEHOLDER_HOST_KEY)
    try:
        return fingerprint(scope.installation, scope.prepare(alike).request)
    except CutOffError:
        raise
    except Exception:  # noqa: BLE001  # a rehearsal, or the creation itself, reports it
        return ""
