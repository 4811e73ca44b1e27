"""``occopus-destroy``: destroy an infrastructure with all of its instances."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import add_auth_data_path, parser
from occopus_core.cli.output import leave, say
from occopus_core.cli.session import guarded, load_credentials, load_settings, watched


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    made = parser("destroy", "Destroy an infrastructure with all of its nodes. This cannot be undone.")
    add_auth_data_path(made)
    made.add_argument(
        "-i",
        "--infra_id",
        "--infraid",
        metavar="INFRA_ID",
        dest="infra_id",
        required=True,
        help="identifier of the infrastructure to destroy",
    )
    made.add_argument(
        "--give-up",
        metavar="CLOUD",
        action="append",
        default=[],
        help="a cloud that is gone for good, named as in the line about unconfirmed instances: its instances are "
        "logged and given up; needs --yes; repeatable",
    )
    made.add_argument(
        "--yes", action="store_true", help="confirms --give-up: instances that still exist may cost money"
    )
    options = made.parse_args(argv)
    if options.give_up and not options.yes:
        made.error(f"instances at {', '.join(options.give_up)} may still cost money: confirm with --yes")
    if options.yes and not options.give_up:
        made.error("--yes needs --give-up")
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    from occopus_core.cli.interruption import interruptible  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.engine.passes.errors import AbandonedError  # noqa: PLC0415

    settings = load_settings(options.cfg)
    credentials = load_credentials(options.auth_data_path)
    again = f"occopus-destroy -i {options.infra_id}"
    # Dropping nodes one after another has no advantage; dependents are still dropped before their dependees.
    with (
        watched(settings, credentials, parallel=True) as manager,
        interruptible(manager.interrupt, f"interrupted; to go on later: {again}") as signals,
    ):
        try:
            manager.tear_down(options.infra_id, options.give_up)
        except AbandonedError:
            leave(signals.exit_code)
    say(f"Destroyed infrastructure: '{options.infra_id}'")
    return ExitCode.OK
