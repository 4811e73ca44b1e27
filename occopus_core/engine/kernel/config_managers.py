"""Calls to configuration managers, within the limits of their connection. Every answer is checked before use."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from occopus_core.api.config import ConfigManager, ConfigNode, ConfigState, ConfigStatus
from occopus_core.api.errors import AuthError, PermanentError, ProviderError, TransientError
from occopus_core.api.resource import Connection
from occopus_core.engine.kernel.call_limits import CallLimits
from occopus_core.engine.kernel.error_text import log_unexpected
from occopus_core.engine.kernel.guard import close_coroutine, is_of_plugin
from occopus_core.engine.kernel.job_status import GivenValues, sound_status
from occopus_core.engine.kernel.jobs import Jobs
from occopus_core.engine.kernel.loop import Outcome
from occopus_core.engine.kernel.open_connection import OpenConnection
from occopus_core.error_place import breach_text, described, place, place_of_method
from occopus_core.sound_errors import sound
from occopus_core.store.records import LeaseLostError

T = TypeVar("T")
Call = Callable[[ConfigManager, Sequence[ConfigNode]], T]
"""A call of a manager, for nodes."""
Statuses = Mapping[str, Outcome[ConfigStatus]]
"""The outcome of `status` for each node id."""

LARGEST_ATTRIBUTES = 262_144
"""The longest JSON text, in characters, of one node's attributes."""

_ANSWER_NOTHING = frozenset({"check", "register", "configure", "cancel", "forget", "forget_infrastructure"})


class ManagerConnection(OpenConnection[ConfigManager]):
    """One connection to a configuration manager. `label` is its name in messages."""

    def __init__(
        self,
        make: Callable[[Connection], ConfigManager],
        section: Mapping[str, Any],
        connection: Connection,
        limits: CallLimits,
        jobs: Jobs,
        label: str,
        who: Callable[[], str],
        redact: Callable[[str], str] = str,
    ) -> None:
        """`who` returns its name where it breaks its contract; `redact` takes secrets out of what is logged."""
        super().__init__(make, section, connection, limits)
        self.jobs = jobs
        self.label = label
        self.asked_at: dict[frozenset[str], list[float]] = {}
        """By the ids of ready nodes: when their status was asked for, without an answer so far (monotonic)."""
        self._who, self._redact = who, redact
        self._given = GivenValues()

    def ask(
        self,
        what: str,
        call: Call[T],
        done: Callable[[Outcome[T]], None],
        before: Callable[[], None] = lambda: None,
        begun: Callable[[], None] = lambda: None,
        nodes: Sequence[ConfigNode] = (),
    ) -> None:
        """Make a call for `nodes` in the pool when its turn comes; see `call`.

        `before` runs right before the call: it raises `LeaseLostError` if another process may hold the lease by then.
        Every other error is a `ProviderError`. `begun` is called when the call starts, and again with its outcome.
        """

        def guarded() -> T:
            begun()
            before()
            return self.call(what, call, nodes)

        def returned(outcome: Outcome[T]) -> None:
            begun()
            done(self._of(what, outcome))

        self.limits.submit(guarded, returned, what)

    def call(self, what: str, call: Call[T], nodes: Sequence[ConfigNode] = ()) -> T:
        """Make a call in this thread; `what` names it in messages. `call` gets copies of the nodes.

        Any error of the manager is raised as a `ProviderError`. Its text loses the values of `nodes`, for which the
        call is made, that may be secret by their names.
        """
        self._given.add(nodes)
        redact = self._redacting(nodes)
        try:
            answer = call(self.plugin, list(map(_copied, nodes)))
        except ProviderError as error:
            raise sound(error, redact, lambda how: str(self._breach(what, f"raised {how}"))) from None
        except BaseException as error:
            if not is_of_plugin(error):
                raise
            log_unexpected(error, self._redact)
            raise self._breach(what, f"raised {described(error)}") from error
        close_coroutine(answer)
        if what in _ANSWER_NOTHING and answer is not None:
            raise self._wrong_answer(what, f"answered {type(answer).__name__}, expected None")
        if what == "forget":
            self._given.forget(nodes)
        return answer

    def _redacting(self, nodes: Sequence[ConfigNode]) -> Callable[[str], str]:
        """A function that takes the secrets of the credentials and of these nodes out of a text."""
        hide = self._given.hiding(nodes)
        return lambda text: hide(self._redact(text))

    def statuses(self, nodes: Sequence[ConfigNode]) -> Statuses:
        """The status of each node, or its own error. Runs in the pool. Raises `TransientError`, `AuthError`.

        If a call for several nodes fails in another way, each node is asked for by itself: one may be the cause.
        """
        try:
            answer = self.call("status", lambda manager, copies: manager.status(copies), nodes)
        except (TransientError, AuthError):
            raise
        except ProviderError as error:
            if len(nodes) > 1:
                return {node.node_id: self._status_of(node) for node in nodes}
            return {node.node_id: Outcome(error=error) for node in nodes}
        return {node.node_id: self._checked(node, answer) for node in nodes}

    def leave(self, node: ConfigNode) -> bool:
        """See `ConfigManager.leave`. Runs in the pool. Raises `ProviderError`."""
        answer: Any = self.call("leave", lambda manager, nodes: manager.leave(*nodes), [node])
        if answer is not True and answer is not False:
            raise self._wrong_answer("leave", f"answered {type(answer).__name__}, expected a bool")
        return bool(answer)

    def template_variables(self, node: ConfigNode) -> Mapping[str, Any]:
        """See `ConfigManager.template_variables`. Raises `ProviderError`."""
        answer: Any = self.call("template_variables", lambda manager, nodes: manager.template_variables(*nodes), [node])
        try:
            variables: dict[Any, Any] = dict(answer) if isinstance(answer, Mapping) else {None: answer}
        except (Exception, SystemExit) as error:
            raise self._unreadable("template_variables", error) from error
        if not all(isinstance(name, str) for name in variables):
            raise self._wrong_answer(
                "template_variables", f"answered {type(answer).__name__}, expected a mapping whose keys are names"
            )
        return variables

    def _status_of(self, node: ConfigNode) -> Outcome[ConfigStatus]:
        try:
            return self.statuses([node])[node.node_id]
        except ProviderError as error:
            return Outcome(error=error)

    def _checked(self, node: ConfigNode, answer: object) -> Outcome[ConfigStatus]:
        try:
            fault = _fault_of_answer(answer, node.node_id)
            if fault:
                return Outcome(error=self._wrong_answer("status", fault))
            status: ConfigStatus = answer[node.node_id]  # type: ignore[index]  # a fault otherwise
            made = sound_status(status, self._redacting([node]))
            if not self._given.knows(node, made.generation):  # its secrets cannot be found
                made = dataclasses.replace(made, reason="", progress="", output="")
            return Outcome(value=made)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a mapping of the plugin's own may raise anything
            return Outcome(error=self._unreadable("status", error))

    def _unreadable(self, what: str, error: BaseException) -> PermanentError:
        where = place(error) or place_of_method(self.plugin, what)
        return self._breach(what, f"answered an object that raises {type(error).__name__}{where}")

    def _wrong_answer(self, what: str, how: str) -> PermanentError:
        return self._breach(what, f"{how}{place_of_method(self.plugin, what)}")

    def breach(self, how: str) -> PermanentError:
        """The error for a manager that breaks its contract in this way."""
        return PermanentError(breach_text(self._who(), how))

    def _breach(self, what: str, how: str) -> PermanentError:
        return self.breach(f"{what}() {how}")

    def _of(self, what: str, outcome: Outcome[T]) -> Outcome[T]:
        """The outcome of a call, with errors that only the loop sees (a call given up) as errors of the manager."""
        if outcome.error is None or isinstance(outcome.error, ProviderError | LeaseLostError):
            return outcome
        return Outcome(error=self._breach(what, f"raised {described(outcome.error)}"))


def _copied(node: ConfigNode) -> ConfigNode:
    """The node with mappings of its own, since the manager may change them."""
    section, attributes = copy.deepcopy(node.section), copy.deepcopy(node.attributes)
    mapped, variables = copy.deepcopy(node.mapped), copy.deepcopy(node.variables)
    return dataclasses.replace(node, section=section, attributes=attributes, mapped=mapped, variables=variables)


def _fault_of_answer(answer: object, node_id: str) -> str:
    """What is wrong with the answer of `status` for a node; empty if it is valid."""
    if not isinstance(answer, Mapping):
        return f"answered {type(answer).__name__}, expected a mapping"
    if node_id not in answer:
        return "left out a node"
    status = answer[node_id]
    if not isinstance(status, ConfigStatus):
        return f"answered {type(status).__name__} for a node, expected a ConfigStatus"
    return _fault_of_status(status)


def _fault_of_status(status: Any) -> str:
    if not isinstance(status.state, ConfigState):
        return f"answered {type(status.state).__name__} as state, expected a ConfigState"
    for name in ("reason", "progress", "generation", "output"):
        if not isinstance(getattr(status, name), str):
            return f"answered {type(getattr(status, name)).__name__} as {name}, expected a string"
    return _fault_of_attributes(status.attributes)


def _fault_of_attributes(attributes: object) -> str:
    if not isinstance(attributes, Mapping) or not all(isinstance(name, str) for name in attributes):
        return "answered attributes that are not a mapping of names"
    try:
        length = len(json.dumps(dict(attributes), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return "answered attributes that are not JSON"
    return f"answered attributes of {length} characters" if length > LARGEST_ATTRIBUTES else ""
