"""The actions of `occopus-maintain` on an infrastructure: one pass, periodic passes, the event log."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.naming import meant
from occopus_core.cli.output import leave, redacted, result, say
from occopus_core.cli.session import load_files, load_settings, say_dry_run, watched

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
    from occopus_core.engine.passes.sweeping import Stray
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings
    from occopus_core.store.records import StoredEvent

LAST_SECONDS = 1.2
"""How long maintenance may take to stop where it is."""

FOLLOW_SECONDS = 0.5
"""Seconds between two queries of the log with --follow."""


def one_pass(options: argparse.Namespace) -> int:
    """Run one maintenance pass."""
    from occopus_core.cli.interruption import interruptible  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.cli.lines import unconfirmed  # noqa: PLC0415
    from occopus_core.engine.passes.errors import AbandonedError  # noqa: PLC0415

    settings, credentials = load_files(options)
    with (
        watched(settings, credentials, parallel=options.parallelize, verbose=options.verbose) as manager,
        interruptible(manager.interrupt, "interrupted; the next pass continues") as signals,
    ):
        infra_id = meant(manager, options.infra_id)
        if settings.dry_run:
            return _dry_run(settings, manager, infra_id)
        try:
            passed = manager.maintain(infra_id)
        except AbandonedError:
            leave(signals.exit_code)
        ill = _ill(manager, infra_id)
    for line in (*map("error: {}".format, passed.undone), *unconfirmed(passed.unconfirmed), *ill):
        say(line)
    if passed.undone:
        return ExitCode.FAILED
    return ExitCode.UNCONFIRMED if passed.unconfirmed else ExitCode.OK


def _ill(manager: InfrastructureManager, infra_id: str) -> list[str]:
    """A line for each ill instance that the pass leaves in service; none if the infrastructure is gone."""
    from occopus_core.report.ill import ill_lines  # noqa: PLC0415
    from occopus_core.store.records import NoSuchInfrastructureError  # noqa: PLC0415

    try:
        return ill_lines(manager.snapshot(infra_id))
    except NoSuchInfrastructureError:
        return []


def _dry_run(settings: Settings, manager: InfrastructureManager, infra_id: str) -> int:
    """Show the plan of the pass instead of running it."""
    from occopus_core.report.plans import lines_of  # noqa: PLC0415

    say_dry_run(settings)
    for line in lines_of(manager.preview(infra_id)):
        result(redacted(line))
    return ExitCode.OK


def sweep(options: argparse.Namespace) -> int:
    """Search for instances that the store does not know, and delete them unless --plan is given."""
    settings, credentials = load_files(options)
    only_report = options.plan or settings.dry_run
    say_dry_run(settings)
    with watched(settings, credentials, parallel=True, verbose=options.verbose) as manager:
        swept = manager.sweep(remove=not only_report)
    if options.output == "json":
        strays = [_stray(stray) for stray in swept.strays]
        held = list(swept.registered)
        found = {
            "strays": strays,
            "registered": held,
            "untagged": list(swept.untagged),
            "unsearched": list(swept.silent),
            "passed_over": list(swept.passed_over),
            "left": list(swept.left),
        }
        result(json.dumps(found))
    else:
        for stray in swept.strays:
            result(f"stray: {stray}")
        for one in swept.registered:
            whose = f"node '{one['node_name']}' of '{one['infra_id']}'"
            result(f"registered: {one['manager']} {one['node_id']}, {whose}")
    for line in swept.untagged:
        say(f"warning: {line}")
    for line in swept.passed_over:
        say(f"warning: {line}; only a node definition names it")
    for line in (*swept.silent, *swept.left):
        say(f"unconfirmed: {line}")
    for name in swept.unsearched:
        say(f"to stop searching it, if it is permanently gone: occopus-maintain --forget {shlex.quote(name)}")
    count = f"{len(swept.strays)} found"
    say(count if only_report else f"{count}, {max(0, len(swept.strays) - len(swept.left))} deleted")
    return ExitCode.UNCONFIRMED if swept.silent or swept.left else ExitCode.OK


def extend(options: argparse.Namespace) -> int:
    """Move the end of an infrastructure."""
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.descriptions.times import written  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with InfrastructureManager(load_settings(options.cfg), Credentials()) as manager:
        infra_id = meant(manager, options.infra_id)
        end = manager.extend(infra_id, options.extend)
    say(f"'{infra_id}' has no end now" if end is None else f"'{infra_id}' is destroyed at {written(end)}")
    return ExitCode.OK


def forget(options: argparse.Namespace) -> int:
    """Stop searching a cloud, if no instance is recorded there."""
    settings, credentials = load_files(options)
    with watched(settings, credentials, parallel=False, verbose=options.verbose) as manager:
        if not manager.store.configurations.give_up(options.forget):
            manager.store.places.forget(options.forget)
    say(f"'{options.forget}' is not searched any more")
    return ExitCode.OK


def _stray(stray: Stray) -> dict[str, str | None]:
    instance, owner = stray.instance, stray.instance.owner
    return {
        "place": stray.implementation.label,
        "instance": instance.id,
        "state": instance.state.value,
        "infraid": owner.infra_id if owner else None,
        "node": owner.node_name if owner else None,
    }


def cyclic(options: argparse.Namespace) -> int:
    """Run passes periodically until a signal, or until the infrastructure is gone."""
    settings, credentials = load_files(options)
    with watched(
        settings,
        credentials,
        parallel=options.parallelize,
        on_error=_report_error,
        lasting=True,
        verbose=options.verbose,
    ) as manager:
        infra_id = meant(manager, options.infra_id)
        manager.get(infra_id)
        if settings.dry_run:
            return _dry_run(settings, manager, infra_id)
        rounds = manager.rounds(options.interval)
        rounds.attach(infra_id)
        if _run_until_signal(rounds):
            # Do not wait for hanging calls of a provider or the store: the next pass, of any process, finds the work in
            # progress.
            leave(ExitCode.OK)
        if rounds.attached:  # the thread has already printed its error
            return ExitCode.FAILED
        say(f"the infrastructure '{infra_id}' is gone")
    return ExitCode.OK


def _run_until_signal(rounds: MaintenanceLoop) -> bool:
    """Maintain in a separate thread, since only the main one receives signals; true after a signal."""
    from occopus_core.cli.interruption import signals  # noqa: PLC0415
    from occopus_core.engine.kernel.clock import LONGEST_WAIT  # noqa: PLC0415

    over, signalled = threading.Event(), threading.Event()

    def maintain() -> None:
        try:
            rounds.run(until_none_left=True)
        finally:
            over.set()

    def stop(_number: int, _frame: FrameType | None) -> None:
        signalled.set()
        over.set()

    for number in signals():
        signal.signal(number, stop)
    thread = threading.Thread(target=maintain, name="occopus-maintenance", daemon=True)
    thread.start()
    while not over.wait(LONGEST_WAIT):
        pass
    if signalled.is_set():
        rounds.stop()
        thread.join(LAST_SECONDS)
    return signalled.is_set()


def _report_error(infra_id: str, text: str) -> None:
    say(f"error: {text}: tried again" if text else f"'{infra_id}' can be maintained again")


def events(options: argparse.Namespace) -> int:
    """Print the log of an infrastructure, even of one that is gone; with --follow, also new events."""
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with InfrastructureManager(load_settings(options.cfg), Credentials()) as manager:
        infra_id = meant(manager, options.infra_id, gone=True)
        found = manager.events(infra_id)
        if not found:
            manager.get(infra_id)
        _print(found, options.output)
        while options.follow:
            time.sleep(FOLLOW_SECONDS)
            last = found[-1].id if found else 0
            new = manager.events(infra_id, after=last)
            _print(new, options.output)
            found = new or found
    return ExitCode.OK


def _print(found: Sequence[StoredEvent], form: str | None) -> None:
    from occopus_core.cli.lines import indented  # noqa: PLC0415

    for event in found:
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        if form == "json":
            row = {"id": event.id, "at": at, "event": event.kind, "node": event.node_name, "nodeid": event.node_id}
            result(json.dumps({**row, "text": event.text}))
        else:
            subject = f" {event.node_name} {event.node_id[:8]}".rstrip()
            text = indented(event.text)
            result(f"{at} {event.kind}{subject}" + (f": {text}" if text else ""))
