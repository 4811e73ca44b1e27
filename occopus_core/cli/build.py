"""``occopus-build``: build an infrastructure, or update an existing one to a new description."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Sequence

from occopus_core.cli.confirmation import can_ask, confirm
from occopus_core.cli.exits import ExitCode, NameOnlyError
from occopus_core.cli.lines import counted
from occopus_core.cli.naming import meant, meant_by_a_person, say_namesakes
from occopus_core.cli.options import (
    NAMED,
    add_auth_data_path,
    add_infra_id,
    add_output,
    add_parallelize,
    add_verbose,
    parser,
)
from occopus_core.cli.output import leave, redacted, result, say
from occopus_core.cli.replaced_definitions import replaced_as_json, say_replaced
from occopus_core.cli.session import guarded, say_dry_run, watched
from occopus_core.cli.variables import add_variables

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Callable

    from occopus_core.cli.build_files import BuildFiles
    from occopus_core.engine.planning.plan import Plan
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings
    from occopus_core.store.definition_uses import Users

DETAILED = "--detailed-exitcode"
CHANGES = 2
"""The exit code of a plan that changes something."""


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    try:
        made = _parser()
        options = made.parse_args(argv)
        if options.replace and options.infra_id is None:
            made.error("--replace needs -i: it replaces instances of an infrastructure that exists")
    except SystemExit as end:
        # Only two codes are left for errors and changes: a wrong command line must not look like a change.
        if end.code == ExitCode.BAD_INPUT and DETAILED in argv:
            return ExitCode.FAILED
        raise
    if not options.detailed_exitcode:
        return guarded(lambda: _run(options))
    changes: list[bool] = []
    code = guarded(lambda: _run(options, changes.append))
    return CHANGES if any(changes) else min(code, ExitCode.FAILED)


def _parser() -> argparse.ArgumentParser:
    made = parser("build", "Build an infrastructure. On failure, and on SIGINT, what was made is undone.")
    add_auth_data_path(made)
    add_parallelize(made)
    add_infra_id(
        made,
        f"update this infrastructure to the description ({NAMED}; only its id without a terminal); if it does "
        "not exist, build it with this id",
        required=False,
    )
    made.add_argument(
        "-y",
        "--yes",
        action="store_true",
        help="do not ask on a terminal before something is replaced or destroyed, now or by an earlier end of life",
    )
    made.add_argument(
        "--nodes",
        metavar="FILE",
        help="file with node definitions: those that INFRA_DEF uses are imported when the build has succeeded "
        "(with --plan: only used)",
    )
    add_variables(made)
    made.add_argument(
        "--replace",
        metavar="NODE",
        action="append",
        default=[],
        help="with -i: replace all instances of this node, also if nothing about it has changed; can be repeated",
    )
    made.add_argument(
        "--plan", action="store_true", help="show what would be created, replaced, destroyed and kept; do nothing"
    )
    made.add_argument(
        "--ttl",
        metavar="TIME",
        type=_end,
        help="destroy it by itself after 90m, 8h, 1d12h, ..., or at a time such as 2026-12-24T18:00Z, in place of what "
        "'expires' of the description says; occopus-maintain --extend moves that",
    )
    made.add_argument(
        DETAILED,
        action="store_true",
        help="with --plan, the exit code is 0 where nothing would be changed, 2 where something would, 1 for any error",
    )
    add_output(made, "text", "json")
    add_verbose(made)
    made.add_argument("infra_def", help="file with the infrastructure description, or - for standard input")
    return made


def _end(text: str) -> float:
    import time  # noqa: PLC0415

    from occopus_core.descriptions.times import end_of, refuse_too_late, written  # noqa: PLC0415

    now = time.time()
    try:
        end = end_of(text, now)
        refuse_too_late(text, now)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if end <= now:
        raise argparse.ArgumentTypeError(f"{written(end)} is over already")
    return end


def _run(options: argparse.Namespace, planned: Callable[[bool], None] | None = None) -> int:
    """Build, or show the plan; `planned` is called with whether the plan changes something."""
    from occopus_core.cli.build_files import read_files  # noqa: PLC0415  # help is to be fast
    from occopus_core.manager.ids import new_id  # noqa: PLC0415

    infra_id = new_id(options.infra_id)
    files = read_files(options)
    if options.replace:
        from occopus_core.manager.updating import refuse_undescribed  # noqa: PLC0415

        refuse_undescribed(files.infrastructure, options.replace)
    settings = files.settings
    only_plan = bool(options.plan or planned or settings.dry_run)
    if only_plan:
        say_dry_run(settings)
        plan, replaced = _plan(options, files, infra_id)
        if planned:
            planned(not plan.changes_nothing)
        return _show_plan(plan, replaced, options.output)
    with watched(settings, files.credentials, parallel=options.parallelize, verbose=options.verbose) as manager:
        manager.open()
        if options.infra_id is not None:
            infra_id = meant_by_a_person(manager, settings, infra_id, yes=options.yes, new=True)
        say_namesakes(settings, files.infrastructure.name, infra_id, only_plan=False)
        replaced = manager.store.definition_uses.replaced_by(files.used.values(), infra_id) if files.used else {}
        say_replaced(replaced)
        if options.infra_id is not None and not options.yes and can_ask(settings):
            _ask(manager, files, infra_id, options)
        files.say_unused(manager.store)
        code = _build(manager, files, infra_id, options)
    if code in {ExitCode.OK, ExitCode.UNCONFIRMED}:
        if files.used:
            say(f"Node definitions imported with the build: {', '.join(files.used)}")
        form = "1.x" if settings.former and options.output == "text" else options.output
        result(_built(manager, infra_id, form, replaced))
    return code


def _ask(manager: InfrastructureManager, files: BuildFiles, infra_id: str, options: argparse.Namespace) -> None:
    """Ask for confirmation of a build that replaces or destroys, or brings a new or an earlier end of the life time.

    Raises `DeclinedError`, and the errors of a plan.
    """
    if manager.store.meant(infra_id) is None:
        return
    from occopus_core.engine.planning.plan import Verb  # noqa: PLC0415
    from occopus_core.report.plans import lines_of  # noqa: PLC0415

    plan = manager.plan(files.infrastructure, infra_id, files.definitions, options.replace, options.ttl)
    going, destroyed = len(plan.of(Verb.REPLACE)), len(plan.of(Verb.DESTROY))
    asked = []
    if going or destroyed:
        asked.append(f"replace {counted(going, 'instance')} and destroy {counted(destroyed, 'instance')}")
    if plan.moved_end is not None and plan.moved_end.is_sooner:
        asked.append(f"destroy all of it at {plan.moved_end.at}")
    if asked:
        say("\n".join(lines_of(plan)))
        confirm(f"Update '{infra_id}': {', and '.join(asked)}?")


def _plan(options: argparse.Namespace, files: BuildFiles, infra_id: str) -> tuple[Plan, Users]:
    """The plan, and the users of definitions that would change."""
    from occopus_core.manager.preview import preview_first_build  # noqa: PLC0415
    from occopus_core.store.definitions import read_definitions  # noqa: PLC0415
    from occopus_core.store.files import is_absent  # noqa: PLC0415

    settings, credentials = files.settings, files.credentials
    stored = read_definitions(settings.store, infra_id) if files.variables else None
    if stored is not None:
        files.say_unused(stored)
    plan = preview_first_build(settings, credentials, files.infrastructure, infra_id, files.definitions, options.ttl)
    if plan is not None:
        _say_new(options, files, infra_id)
    if plan is not None and (not files.definitions or is_absent(settings.store)):
        return plan, {}
    with watched(settings, credentials, parallel=options.parallelize, verbose=options.verbose) as manager:
        if options.infra_id is not None and plan is None:
            infra_id = _planned_id(manager, settings, infra_id, yes=options.yes)
        if plan is None and manager.store.meant(infra_id) is None:
            _say_new(options, files, infra_id)
        if stored is None:
            files.say_unused(manager.store)
        plan = plan or manager.plan(files.infrastructure, infra_id, files.definitions, options.replace, options.ttl)
        replaced = manager.store.definition_uses.replaced_by(files.used.values(), infra_id)
        if manager.store.meant(infra_id) is not None:
            _say_abandoned(manager, infra_id)
        return plan, replaced


def _planned_id(manager: InfrastructureManager, settings: Settings, text: str, *, yes: bool) -> str:
    """The id of the infrastructure. A plan changes nothing: a name is accepted where the build accepts only an id."""
    try:
        return meant_by_a_person(manager, settings, text, yes=yes, new=True)
    except NameOnlyError:
        found = meant(manager, text)
        say(
            f"notice: '{text}' names the infrastructure '{found}', of which this is the plan; without a terminal a "
            f"build needs -i {found}, or -y"
        )
        return found


def _say_abandoned(manager: InfrastructureManager, infra_id: str) -> None:
    """Say that a build, an update or a rollback was begun, and that no process works on it."""
    snapshot = manager.snapshot(infra_id)
    if snapshot.abandoned:
        state = snapshot.infrastructure.state.value
        say(f"notice: the infrastructure '{infra_id}' is '{state}', and {snapshot.abandoned}")


def _say_new(options: argparse.Namespace, files: BuildFiles, infra_id: str) -> None:
    if options.infra_id is not None:
        say(f"notice: there is no infrastructure '{options.infra_id}': this is the plan of a new one")
    say_namesakes(files.settings, files.infrastructure.name, infra_id, only_plan=True)


def _built(manager: InfrastructureManager, infra_id: str, form: str, replaced: Users) -> str:
    """The result to print after a build: as text, the addresses of nodes, the outputs, and what is outdated."""
    from occopus_core.report import outputs_of, report_of  # noqa: PLC0415
    from occopus_core.report.built import address_lines, outdated_lines, output_lines  # noqa: PLC0415
    from occopus_core.store.records import NoSuchInfrastructureError  # noqa: PLC0415

    try:
        snapshot = manager.snapshot(infra_id)
    except NoSuchInfrastructureError:
        if form == "json":
            raise
        say(f"another process has destroyed '{infra_id}' since")
        return infra_id
    if form == "json":
        import json  # noqa: PLC0415

        shown = {"infraid": infra_id, "nodes": report_of(snapshot), "outputs": outputs_of(snapshot)}
        return json.dumps({**shown, "replaced_definitions": replaced_as_json(replaced)})
    lines = output_lines(snapshot) if form == "1.x" else [*address_lines(snapshot), *output_lines(snapshot)]
    lines += outdated_lines(snapshot)
    if lines:
        say("\n".join(lines))
    if form == "1.x":
        from occopus_core.report.forms_1x import built  # noqa: PLC0415

        return built(snapshot)
    return infra_id


def _build(manager: InfrastructureManager, files: BuildFiles, infra_id: str, options: argparse.Namespace) -> int:
    from occopus_core.cli.interruption import interruptible  # noqa: PLC0415
    from occopus_core.cli.lines import unconfirmed  # noqa: PLC0415
    from occopus_core.engine.passes.errors import AbandonedError, InterruptedBuildError, UnconfirmedError  # noqa: PLC0415
    from occopus_core.store.records import StoreError  # noqa: PLC0415

    with interruptible(manager.interrupt, "interrupted: undoing the build; a second signal stops at once") as signals:
        try:
            begun = functools.partial(say, f"Submitted infrastructure: '{infra_id}'")
            own = files.definitions.values()
            manager.build(files.infrastructure, infra_id, begun, options.ttl, options.replace, own)
        except InterruptedBuildError as error:
            if signals.number is None:
                raise
            undone = "; what could be undone was undone" if error.unconfirmed else " and undone"
            say("\n".join([f"the build was interrupted{undone}", *unconfirmed(error.unconfirmed)]))
            return signals.exit_code
        except AbandonedError:
            say(_way_on(manager, infra_id))
            leave(signals.exit_code)
        except StoreError:
            say(f"work in progress, if any, is recorded: occopus-build -i {infra_id} with the same files continues it")
            raise
        except UnconfirmedError as error:  # it is built, but the deletion of replaced instances is unconfirmed
            say("\n".join(unconfirmed(error.instances)))
            return ExitCode.UNCONFIRMED
    return ExitCode.OK


def _way_on(manager: InfrastructureManager, infra_id: str) -> str:
    """What to do after a build that was stopped before it was undone.

    Destruction is suggested only for a first build.
    """
    from occopus_core.report.under_way import commands  # noqa: PLC0415
    from occopus_core.store.records import InfrastructureState, NoSuchInfrastructureError, StoreError  # noqa: PLC0415

    record = None
    with contextlib.suppress(NoSuchInfrastructureError, StoreError):
        record = manager.store.infrastructure(infra_id)
    if record is None or record.description is None:
        return f"stopped; to remove what is left: occopus-destroy -i {infra_id}"
    if record.state is InfrastructureState.READY:
        return f"stopped; the description is in force, and occopus-maintain -i {infra_id} finishes what is left"
    left = "is being rolled back" if record.rolling_back else "is neither finished nor undone"
    return f"stopped; the {record.undone} {left}: {commands(infra_id, record.state)}"


def _show_plan(plan: Plan, replaced: Users, form: str) -> int:
    import json  # noqa: PLC0415

    from occopus_core.report.plans import lines_of, plan_as_json  # noqa: PLC0415  # help must not wait for all this

    say_replaced(replaced)
    if form == "json":
        shown = {**plan_as_json(plan), "replaced_definitions": replaced_as_json(replaced)}
        result(redacted(json.dumps(shown, indent=2)))
        return ExitCode.OK
    for line in lines_of(plan):
        result(redacted(line))
    return ExitCode.OK
