"""``occopus-scale``: request more, fewer or other instances of a node."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from occopus_core.cli.confirmation import can_ask, confirm
from occopus_core.cli.exits import ExitCode
from occopus_core.cli.lines import counted
from occopus_core.cli.naming import meant, meant_instance
from occopus_core.cli.options import NAMED, add_auth_data_path, add_infra_id, parser, whole_number
from occopus_core.cli.output import say
from occopus_core.cli.session import guarded, load_settings

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.descriptions.model import Infrastructure
    from occopus_core.manager import InfrastructureManager

MOST = 100_000
"""The largest number of instances of a node."""


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    made = _parser()
    options = made.parse_args(argv)
    if options.filter is not None and options.setscale is not None:
        made.error("-f chooses an instance to go: it belongs to -c with a negative number")
    if options.filter is not None and (options.changescale if options.changescale is not None else -1) >= 0:
        made.error("-f chooses an instance to go: -c must be negative with it")
    if options.replace and options.filter is not None:
        made.error("-f chooses an instance to go: --replace replaces all instances of the node")
    if options.filter is None and options.changescale is None and options.setscale is None and not options.replace:
        made.error("give -c (by how many), -s (to how many), -f (which instance to remove), or --replace")
    if options.filter == "":  # as from an unset variable of a script
        made.error("-f chooses an instance to go: give its node id or address")
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    made = parser("scale", "Request more, fewer or other instances of a node. The next maintenance pass applies it.")
    add_auth_data_path(made)
    add_infra_id(made, f"infrastructure: {NAMED}")
    made.add_argument("-n", "--node", required=True, help="name of the node to scale")
    amount = made.add_mutually_exclusive_group()
    amount.add_argument("-c", "--changescale", type=_amount, help="by how many: positive for more, negative for fewer")
    amount.add_argument("-s", "--setscale", type=_count, help="to how many")
    amount.add_argument("--replace", action="store_true", help="replace all instances: new ones are made first")
    made.add_argument(
        "-f",
        "--filter",
        help="node id, a unique beginning of it, or address of an instance to remove (alone: the same as -c -1)",
    )
    made.add_argument("-y", "--yes", action="store_true", help="do not ask on a terminal before --replace")
    return made


def _count(text: str) -> int:
    count = _amount(text)
    if count < 0:
        raise argparse.ArgumentTypeError("the number of instances must not be negative")
    return count


def _amount(text: str) -> int:
    amount = whole_number(text)
    if abs(amount) > MOST:
        raise argparse.ArgumentTypeError(f"at most {MOST:,} instances")
    return amount


def _run(options: argparse.Namespace) -> int:
    from occopus_core.credentials import Credentials  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.events import EventKind  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415
    from occopus_core.store.records import ScaleKind  # noqa: PLC0415

    node = options.node
    change = -1 if options.changescale is None else options.changescale
    sets = options.setscale is not None
    settings = load_settings(options.cfg)
    with InfrastructureManager(settings, Credentials()) as manager:
        infra_id = meant(manager, options.infra_id)
        if options.replace:
            return _replace(manager, infra_id, node, ask=not options.yes and can_ask(settings))
        instance = meant_instance(manager, infra_id, options.filter or "")
        kind, amount = (ScaleKind.SET, options.setscale) if sets else (ScaleKind.CHANGE, change)
        answer = manager.preview_scaling(infra_id, node, kind, amount, instance)
        if answer.kind is EventKind.SCALE_REFUSED:
            say(f"error: {answer.text}")
            return ExitCode.NOT_FOUND
        if sets:
            request = manager.scale_to(infra_id, node, amount)
        else:
            request = manager.scale_by(infra_id, node, amount, instance)
        actor, when = _carried_out_by(manager, infra_id)
    say(f"recorded as request {request.id}: {answer.text}; {actor} applies it{when}")
    return ExitCode.OK


def _carried_out_by(manager: InfrastructureManager, infra_id: str) -> tuple[str, str]:
    """What carries out a request, and when, if that is known: the process that maintains it, or a command."""
    maintainer = manager.store.maintainers.of(infra_id)
    if maintainer is not None and maintainer.is_alive(time.time()):
        return f"{maintainer.name}, which maintains it,", " at once"
    return f"occopus-maintain -i {infra_id}", ""


def _left_dependents(described: Infrastructure, node: str) -> list[str]:
    """The nodes that depend on this one, and are neither replaced because of it nor find its addresses themselves."""
    follow = {*described.replaced_when_outdated, *(one.name for one in described.nodes if one.discovers)}
    dependents = dict.fromkeys(one.dependent for one in described.dependencies if one.dependee == node)
    return [name for name in dependents if name not in follow]


def _replace(manager: InfrastructureManager, infra_id: str, node: str, *, ask: bool) -> int:
    """Request other instances of a node. Raises `DeclinedError` and the errors of `InfrastructureManager.replace`."""
    present = [one.node_name for one in manager.store.instances(infra_id)]
    count = present.count(node)
    left = [name for name in _left_dependents(manager.get(infra_id).current, node) if name in present]
    if count and left:
        names = ", ".join(f"'{name}'" for name in left)
        say(f"notice: {names} may be left with former addresses of '{node}': the report says so then, and what to do")
    if ask and count:
        confirm(f"Replace {counted(count, 'instance')} of node '{node}' of the infrastructure {infra_id}?")
    request = manager.replace(infra_id, node)
    what = f"all instances of node '{node}' are replaced"
    actor, when = _carried_out_by(manager, infra_id)
    say(f"recorded as request {request.id}: {what}; {actor} begins that{when}")
    return ExitCode.OK
