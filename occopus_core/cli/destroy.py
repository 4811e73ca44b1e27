"""``occopus-destroy``: destroy an infrastructure with all of its instances."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from occopus_core.cli.confirmation import can_ask, confirm
from occopus_core.cli.exits import ExitCode
from occopus_core.cli.lines import counted
from occopus_core.cli.naming import meant_by_a_person
from occopus_core.cli.options import NAMED, add_auth_data_path, add_infra_id, add_verbose, parser
from occopus_core.cli.output import leave, say
from occopus_core.cli.session import guarded, load_files, watched

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.manager import InfrastructureManager


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    made = parser("destroy", "Destroy an infrastructure with all of its nodes. This cannot be undone.")
    add_auth_data_path(made)
    add_infra_id(made, f"infrastructure to destroy: {NAMED}; only its id without a terminal")
    made.add_argument(
        "--give-up",
        metavar="CLOUD",
        action="append",
        default=[],
        help="a cloud that is gone for good, named as in the line about unconfirmed instances: its instances are "
        "logged and given up; needs --yes; repeatable",
    )
    made.add_argument(
        "-y",
        "--yes",
        action="store_true",
        help="do not ask on a terminal; also confirms --give-up: instances that still exist may cost money",
    )
    add_verbose(made)
    options = made.parse_args(argv)
    if options.give_up and not options.yes:
        made.error(f"instances at {', '.join(options.give_up)} may still cost money: confirm with --yes")
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    from occopus_core.cli.interruption import interruptible  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.engine.passes.errors import AbandonedError  # noqa: PLC0415

    settings, credentials = load_files(options)
    # Dropping nodes one after another has no advantage; dependents are still dropped before their dependees.
    with watched(settings, credentials, parallel=True, verbose=options.verbose) as manager:
        infra_id = meant_by_a_person(manager, settings, options.infra_id, yes=options.yes)
        if not options.yes and can_ask(settings):
            _ask(manager, infra_id)
        again = f"interrupted; to go on later: occopus-destroy -i {infra_id}"
        with interruptible(manager.interrupt, again) as signals:
            try:
                manager.tear_down(infra_id, options.give_up)
            except AbandonedError:
                leave(signals.exit_code)
    say(f"Destroyed infrastructure: '{infra_id}'")
    return ExitCode.OK


def _ask(manager: InfrastructureManager, infra_id: str) -> None:
    """Raises `DeclinedError`, `NoSuchInfrastructureError`, `StoreError`."""
    name, count = manager.get(infra_id).current.name, len(manager.store.instances(infra_id))
    confirm(f"Destroy the infrastructure '{name}' ({infra_id}) with {counted(count, 'instance')}?")
