"""What configuration managers answer of nodes: texts without secrets and control characters, of bounded length."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.api import ConfigNode, ConfigState, ConfigStatus, Connection, PermanentError
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.job_status import KEPT_LENGTH, KEPT_LINES
from occopus_core.engine.kernel.jobs import Jobs
from occopus_core.engine.kernel.loop import Loop
from occopus_core.redaction import Redactor
from occopus_core.sound_errors import LONGEST_TEXT

NODE = ConfigNode(
    "one", "infra", "infra", "db", "n-1", "t", {"type": "x"}, variables={"db_password": "former-42"}, generation="g-1"
)
CHANGED = dataclasses.replace(NODE, variables={"db_password": "present-42"}, generation="g-2")
KEY = "key-of-the-login"


class Plugin:
    """A manager that answers this status for every node, or raises this error."""

    def __init__(self):
        self.status_is = ConfigStatus(ConfigState.READY)
        self.error = None

    def status(self, nodes):
        if self.error is not None:
            raise self.error
        return {node.node_id: self.status_is for node in nodes}

    def forget(self, node):
        if self.error is not None:
            raise self.error


@pytest.fixture
def plugin():
    return Plugin()


@pytest.fixture
def link(plugin):
    with ThreadPoolExecutor(1) as pool:
        limits = CallLimits(Loop(SystemClock(), pool), 1)
        connection = Connection("x", {}, {})
        return ManagerConnection(
            lambda _: plugin, {}, connection, limits, Jobs(None), "x", lambda: "x", Redactor([KEY])
        )


def answered(link, plugin, text, node=NODE, generation="g-1"):
    plugin.status_is = ConfigStatus(ConfigState.FAILED, text, text, {"db_password": "former-42"}, generation, text)
    return link.statuses([node])["n-1"].get()


@pytest.mark.parametrize("secret", [KEY, "former-42", "for\x1b[31mmer-42", "Zm9ybWVyLTQy"])
def test_every_text_loses_the_secrets_of_the_login_and_of_the_node(link, plugin, secret):
    status = answered(link, plugin, f"refused: {secret}!")
    assert [status.reason, status.progress, status.output] == ["refused: ***!"] * 3
    assert (status.attributes, status.generation) == ({"db_password": "former-42"}, "g-1")


def test_every_text_loses_the_secrets_of_former_descriptions_too(link, plugin):
    link.statuses([NODE])
    status = answered(link, plugin, "former-42 present-42", CHANGED)
    assert [status.reason, status.progress, status.output] == ["*** ***"] * 3
    plugin.error = PermanentError("former-42 present-42")
    with pytest.raises(PermanentError, match=r"^\*\*\* \*\*\*$"):
        link.call("forget", lambda manager, nodes: manager.forget(*nodes), [CHANGED])


def test_what_was_forgotten_is_not_remembered(link, plugin):
    link.statuses([NODE])
    link.call("forget", lambda manager, nodes: manager.forget(*nodes), [NODE])
    assert answered(link, plugin, "former-42", CHANGED, "").reason == "former-42"


def test_texts_about_a_generation_whose_secrets_are_not_known_are_left_out(link, plugin):
    status = answered(link, plugin, "former-42", CHANGED)
    assert [status.reason, status.progress, status.output] == [""] * 3
    assert (status.state, status.generation) == (ConfigState.FAILED, "g-1")


def test_reason_and_progress_are_one_line_without_control_characters(link, plugin):
    status = answered(link, plugin, "\x1b]0;title\x07\x1b[31mdisk\r\nfull\x00\n\n at /var\u202e")
    assert [status.reason, status.progress] == ["disk full at /var"] * 2
    assert status.output == "disk\nfull\n at /var"


def test_the_length_of_every_text_is_bounded(link, plugin):
    status = answered(link, plugin, "x" * 9_000_000)
    assert [len(status.reason), len(status.progress)] == [LONGEST_TEXT] * 2
    status = answered(link, plugin, ("x" * 9_000 + "\n") * 100)
    assert [len(line) for line in status.output.split("\n")] == [KEPT_LENGTH] * KEPT_LINES


def test_texts_of_a_type_of_the_plugins_own_are_plain(link, plugin):
    class Loud(str):
        __slots__ = ()

        def __str__(self):
            raise RuntimeError

        __format__ = __str__

    status = answered(link, plugin, Loud("disk full"))
    assert [type(status.reason), type(status.progress), type(status.output)] == [str] * 3


def test_a_manager_may_change_the_nodes_that_it_is_given(link, plugin):
    def change(nodes):
        for node in nodes:
            for given in (node.section, node.attributes, node.mapped, node.variables):
                given["inner"].clear()
        return {node.node_id: ConfigStatus(ConfigState.READY) for node in nodes}

    plugin.status = change
    section, attributes, mapped, variables = ({"inner": {"a": 1}} for _ in range(4))
    node = dataclasses.replace(NODE, section=section, attributes=attributes, mapped=mapped, variables=variables)
    link.statuses([node])
    assert [section, attributes, mapped, variables] == [{"inner": {"a": 1}}] * 4
