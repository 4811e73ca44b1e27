"""``occopus-build``: build an infrastructure, or update an existing one to a new description."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import add_auth_data_path, add_parallelize, parser
from occopus_core.cli.output import leave, result, say
from occopus_core.cli.session import guarded, load_credentials, load_settings, say_dry_run, watched

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.credentials import Credentials
    from occopus_core.descriptions.model import Infrastructure
    from occopus_core.engine.planning.plan import Plan
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    options = _parser().parse_args(argv)
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    made = parser("build", "Build an infrastructure. On failure, and on SIGINT, what was made is undone.")
    add_auth_data_path(made)
    add_parallelize(made)
    made.add_argument(
        "-i",
        "--infra_id",
        "--infraid",
        metavar="INFRA_ID",
        dest="infra_id",
        help="update this infrastructure to the description; if it does not exist, build it with this id",
    )
    made.add_argument(
        "--plan", action="store_true", help="show what would be created, replaced, destroyed and kept; do nothing"
    )
    made.add_argument("--output", choices=["text", "json"], default="text", help="form of the result (default: text)")
    made.add_argument("infra_def", help="file with the infrastructure description, or - for standard input")
    return made


def _run(options: argparse.Namespace) -> int:
    from occopus_core.descriptions.infrastructure import load_infrastructure  # noqa: PLC0415  # help is to be fast
    from occopus_core.manager.ids import new_id  # noqa: PLC0415
    from occopus_core.render import expander  # noqa: PLC0415

    settings = load_settings(options.cfg)
    credentials = load_credentials(options.auth_data_path)
    infra_id = new_id(options.infra_id)
    infrastructure = load_infrastructure(
        options.infra_def, warn=lambda problem: say(f"warning: {problem}"), render=expander()
    )
    if options.plan or settings.dry_run:
        say_dry_run(settings)
        plan = _plan(options, settings, credentials, infrastructure, infra_id)
        return _show_plan(plan, options.output)
    with watched(settings, credentials, parallel=options.parallelize) as manager:
        manager.open()
        code = _build(manager, infrastructure, infra_id)
    if code in {ExitCode.OK, ExitCode.UNCONFIRMED}:
        result(_built(manager, infra_id, "1.x" if settings.former and options.output == "text" else options.output))
    return code


def _plan(
    options: argparse.Namespace,
    settings: Settings,
    credentials: Credentials,
    infrastructure: Infrastructure,
    infra_id: str,
) -> Plan:
    from occopus_core.manager.preview import preview_first_build  # noqa: PLC0415

    plan = preview_first_build(settings, credentials, infrastructure, infra_id)
    if plan is not None:
        return plan
    with watched(settings, credentials, parallel=options.parallelize) as manager:
        return manager.plan(infrastructure, infra_id)


def _built(manager: InfrastructureManager, infra_id: str, form: str) -> str:
    """The result to print after a build."""
    if form == "1.x":
        from occopus_core.report.forms_1x import built  # noqa: PLC0415

        return built(manager.snapshot(infra_id))
    if form == "text":
        return infra_id
    import json  # noqa: PLC0415

    return json.dumps({"infraid": infra_id, "nodes": manager.report(infra_id)})


def _build(manager: InfrastructureManager, infrastructure: Infrastructure, infra_id: str) -> int:
    from occopus_core.cli.interruption import interruptible  # noqa: PLC0415
    from occopus_core.cli.lines import unconfirmed  # noqa: PLC0415
    from occopus_core.engine.passes.errors import AbandonedError, InterruptedBuildError, UnconfirmedError  # noqa: PLC0415
    from occopus_core.store.records import StoreError  # noqa: PLC0415

    with interruptible(manager.interrupt, "interrupted: undoing the build; a second signal stops at once") as signals:
        try:
            manager.build(infrastructure, infra_id, lambda: say(f"Submitted infrastructure: '{infra_id}'"))
        except InterruptedBuildError as error:
            if signals.number is None:
                raise
            undone = "; what could be undone was undone" if error.unconfirmed else " and undone"
            say("\n".join([f"the build was interrupted{undone}", *unconfirmed(error.unconfirmed)]))
            return signals.exit_code
        except AbandonedError:
            say(f"stopped; to remove what is left: occopus-destroy -i {infra_id}")
            leave(signals.exit_code)
        except StoreError:
            say(f"work in progress, if any, is recorded: occopus-build -i {infra_id} continues it")
            raise
        except UnconfirmedError as error:  # it is built, but the deletion of replaced instances is unconfirmed
            say("\n".join(unconfirmed(error.instances)))
            return ExitCode.UNCONFIRMED
    return ExitCode.OK


def _show_plan(plan: Plan, form: str) -> int:
    import json  # noqa: PLC0415

    from occopus_core.report.plans import lines_of, steps_of  # noqa: PLC0415  # help must not wait for all this

    if form == "json":
        result(json.dumps({"steps": steps_of(plan), "frozen": plan.frozen}, indent=2))
        return ExitCode.OK
    for line in lines_of(plan):
        result(line)
    return ExitCode.OK
