"""The outputs of a description: the values of their templates for the present instances, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from occopus_core.api.resource import Address
from occopus_core.descriptions.model import Infrastructure, OutputTemplate
from occopus_core.descriptions.problems import PlacedMessage
from occopus_core.engine.planning.rehearsal import PlaceholderPeers
from occopus_core.evaluate import FaultError
from occopus_core.named_secrets import named_secrets
from occopus_core.redaction import HIDDEN, LOGIN, among, hide
from occopus_core.render import PLAIN_BUDGET, Allowance, Renderer, TemplateError
from occopus_core.store.records import Condition, InstanceRecord, Stage
from occopus_core.template_errors import RefusalError
from occopus_core.template_functions import Peers, functions
from occopus_core.templates_1x import Templates1x


@dataclass(frozen=True, slots=True)
class OutputValue:
    """The value of one output; None where it has none at present, and then `problem` says why."""

    name: str
    value: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Present:
    """The instances in service, as templates see them."""

    nodes: Mapping[str, Sequence[InstanceRecord]]

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        return [one.addresses for one in self._of(node_name)]

    def node_ids(self, node_name: str) -> Sequence[str]:
        return [one.node_id for one in self._of(node_name)]

    def _of(self, node_name: str) -> Sequence[InstanceRecord]:
        if node_name not in self.nodes:
            raise LookupError(f"there is no node '{node_name}'; the nodes are: {', '.join(sorted(self.nodes))}")
        return self.nodes[node_name]


def output_values(
    infra_id: str, infrastructure: Infrastructure, instances: Iterable[InstanceRecord]
) -> tuple[OutputValue, ...]:
    """The value of each output, in the order of the description. Takes milliseconds, runs nothing, raises nothing.

    Secrets are replaced by ``***``: values of `variables` whose names say that they may be secret, and users and
    passwords in URLs. A text with very many of them is replaced as a whole.
    """
    if not infrastructure.outputs:
        return ()
    nodes: dict[str, list[InstanceRecord]] = {node.name: [] for node in infrastructure.nodes}
    for one in sorted(instances, key=lambda each: (each.position, each.created_at)):
        if one.node_name in nodes and _is_ready(one) and not one.condemned:
            nodes[one.node_name].append(one)
    rendering = _Rendering(infra_id, infrastructure, _Present({name: _in_service(nodes[name]) for name in nodes}))
    return rendering.values(infrastructure.outputs)


def _is_ready(instance: InstanceRecord) -> bool:
    """True unless it is known to be ill: while its health is unknown, its address stays."""
    return instance.stage is Stage.READY and instance.condition in (Condition.WELL, Condition.UNKNOWN)


def _in_service(ready: Sequence[InstanceRecord]) -> Sequence[InstanceRecord]:
    """Of the ready instances of a node, those that a build under way has not made, if there are any."""
    return [one for one in ready if not one.provisional] or ready


def output_faults(infrastructure: Infrastructure, infra_id: str = "") -> list[PlacedMessage]:
    """A message for each output that cannot be rendered, whatever instances there are. Raises nothing."""
    peers = PlaceholderPeers(node.name for node in infrastructure.nodes)
    rendering = _Rendering(infra_id, infrastructure, peers)
    found = zip(infrastructure.outputs, rendering.values(infrastructure.outputs), strict=True)
    return [
        PlacedMessage.of(one.where, f"outputs.{one.name}", made.problem, with_path=True)
        for one, made in found
        if made.problem
    ]


class _Rendering:
    """Renders the outputs of one infrastructure within one budget."""

    def __init__(self, infra_id: str, infrastructure: Infrastructure, peers: Peers) -> None:
        self._names = {
            "infra_name": infrastructure.name,
            "infra_id": infra_id,
            "user_id": infrastructure.user_id,
            "variables": infrastructure.variables,
        }
        self._functions = {**functions(peers), "cmd": _refuse_command}
        self._manners = Templates1x(infrastructure.node_names)
        self._allowance = Allowance(PLAIN_BUDGET)
        self._variables = infrastructure.variables

    def values(self, outputs: Iterable[OutputTemplate]) -> tuple[OutputValue, ...]:
        """The values, without secrets."""
        shown = list(map(self._value, outputs))
        secrets = among(named_secrets(self._variables), "\n".join(one.value or one.problem for one in shown))
        return tuple(
            OutputValue(
                one.name,
                None if one.value is None else LOGIN.sub(f"//{HIDDEN}@", hide(secrets, one.value)),
                hide(secrets, one.problem),
            )
            for one in shown
        )

    def _value(self, output: OutputTemplate) -> OutputValue:
        render = Renderer(
            self._names, self._functions, "", manners=self._manners, allowance=self._allowance, plain_only=True
        )
        try:
            text = render(output.template, at=f"outputs.{output.name}")
        except TemplateError as error:
            fault = error.__cause__
            problem = fault.reason if isinstance(fault, FaultError) else str(error).removeprefix(": ")
            return OutputValue(output.name, None, problem)
        return OutputValue(output.name, text)


def _refuse_command(_command: str) -> str:
    raise RefusalError("cmd() runs a program, which an output cannot do: outputs are rendered for every report")
