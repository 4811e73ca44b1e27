"""Warnings about credentials when node definitions are imported."""

from occopus_core.credentials import Credentials
from occopus_core.manager.checked_definitions import checked_definitions
from occopus_core.registry import Registry
from occopus_core.testing.memory import MemoryHandler

NODES = """\
'node_def:one': &mine
  - resource: {type: mine, endpoint: here}
'node_def:two': *mine
'node_def:three':
  - resource: {type: other, endpoint: there}
"""
AUTH = """\
resource:
  - {type: mine, auth_data: {token: s3cret-value}}
  - {type: other, auth_data: {token: s3cret-value}}
"""


class Raises(MemoryHandler):
    @classmethod
    def auth_fault(cls, auth):
        raise ValueError(f"no user for {auth['token']}")


class Refuses(MemoryHandler):
    @classmethod
    def auth_fault(cls, auth):
        return "it needs a password" if auth else ""


def test_a_plugin_that_fails_to_judge_credentials_is_one_warning_and_others_are_judged(tmp_path):
    (tmp_path / "nodes.yaml").write_text(NODES)
    (tmp_path / "auth.yaml").write_text(AUTH)
    registry = Registry({("resource", "mine"): Raises, ("resource", "other"): Refuses})
    credentials = Credentials.load(str(tmp_path / "auth.yaml"), {})
    warnings = []
    found = checked_definitions(str(tmp_path / "nodes.yaml"), registry, credentials, warnings.append, former=False)
    assert [definition.name for definition in found] == ["one", "two", "three"]
    line = Raises.auth_fault.__func__.__code__.co_firstlineno + 2
    judged, broken = warnings
    assert judged == (
        "the node definition 'three' cannot be built with its credentials: it needs a password; "
        f"the credentials are those at {tmp_path / 'auth.yaml'}:3:5"
    )
    assert broken == (
        "credentials are not checked ('one', 'two'): the resource handler 'mine' breaks its contract: "
        f"auth_fault() raised ValueError (tests/unit/manager/test_auth.py, line {line}); report it to its author"
    )
