"""``occopus-build``: build an infrastructure, or bring an existing one to a new description."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from occopus_core.cli import common

if TYPE_CHECKING:
    from occopus_core.descriptions.model import Infrastructure
    from occopus_core.engine.planning.plan import Plan
    from occopus_core.manager import InfrastructureManager


def main(argv: Sequence[str]) -> int:
    """Run the command; its exit code."""
    options = _parser().parse_args(argv)
    return common.guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    made = common.parser("build", "Build an infrastructure. On failure, and on SIGINT, what was made is undone.")
    common.add_auth_data_path(made)
    common.add_parallelize(made)
    made.add_argument(
        "-i",
        metavar="INFRA_ID",
        dest="infra_id",
        help="bring this infrastructure to the description; where none has the id, build one under it",
    )
    made.add_argument(
        "--plan", action="store_true", help="show what would be created, replaced, destroyed and kept; do nothing"
    )
    made.add_argument("--output", choices=["text", "json"], default="text", help="form of the result (default: text)")
    made.add_argument("infra_def", help="file with the infrastructure description")
    return made


def _run(options: argparse.Namespace) -> int:
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415  # help must not wait for all this

    settings = common.load_settings(options.cfg)
    credentials = common.load_credentials(options.auth_data_path)
    infra_id = InfrastructureManager.new_id(options.infra_id)
    with common.watched(settings, credentials, parallel=options.parallelize) as manager:
        infrastructure = manager.load(options.infra_def, warn=lambda text: common.say(f"warning: {text}"))
        if options.plan:
            return _show_plan(manager.plan(infrastructure, infra_id), options.output)
        manager.open()
        code = _build(manager, infrastructure, infra_id)
    if code in {common.ExitCode.OK, common.ExitCode.UNCONFIRMED}:
        as_json = options.output == "json"
        common.result(json.dumps({"infraid": infra_id, "nodes": manager.report(infra_id)}) if as_json else infra_id)
    return code


def _build(manager: InfrastructureManager, infrastructure: Infrastructure, infra_id: str) -> int:
    from occopus_core.cli.failures import unconfirmed  # noqa: PLC0415
    from occopus_core.cli.interruption import interruptible  # noqa: PLC0415
    from occopus_core.engine.passes.errors import AbandonedError, InterruptedBuildError, UnconfirmedError  # noqa: PLC0415
    from occopus_core.store.records import StoreError  # noqa: PLC0415

    with interruptible(manager.interrupt, "interrupted: undoing the build; once more to stop at once") as signals:
        try:
            manager.build(infrastructure, infra_id, lambda: common.say(f"Submitted infrastructure: '{infra_id}'"))
        except InterruptedBuildError as error:
            if signals.number is None:
                raise
            undone = "; what could be undone was undone" if error.unconfirmed else " and undone"
            common.say("\n".join([f"the build was interrupted{undone}", *unconfirmed(error.unconfirmed)]))
            return signals.exit_code
        except AbandonedError:
            common.say(f"stopped; to remove what is left: occopus-destroy -i {infra_id}")
            common.leave(signals.exit_code)
        except StoreError:
            common.say(f"what was begun, if anything, is recorded: occopus-build -i {infra_id} goes on from there")
            raise
        except UnconfirmedError as error:  # it is built; what it replaces is not seen to be gone
            common.say("\n".join(unconfirmed(error.instances)))
            return common.ExitCode.UNCONFIRMED
    return common.ExitCode.OK


def _show_plan(plan: Plan, form: str) -> int:
    from occopus_core.report.plans import lines_of, steps_of  # noqa: PLC0415  # help must not wait for all this

    if form == "json":
        common.result(json.dumps({"steps": steps_of(plan), "frozen": plan.frozen}, indent=2))
        return common.ExitCode.OK
    for line in lines_of(plan):
        common.result(line)
    return common.ExitCode.OK
