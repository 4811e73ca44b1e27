"""The supervisor of a node: runs its stages, adopts all processes that they leave behind, and ends them.

Started as ``python -I -S supervisor.py FOLDER [STAGE ...]`` and kept small by few imports, since it runs as long as its
node. A stage is a shell script ``FOLDER/stages/STAGE.sh`` whose output goes to ``FOLDER/log/STAGE.log`` and whose exit
status goes to ``FOLDER/exits``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36
SIGNALS = (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)
# Signals ignored by Python, or by the caller (under nohup, say), get their default action in the node's programs.
DEFAULTS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
KILL_AFTER, KILL_EVERY = 5.0, 0.1
"""Seconds until SIGKILL for processes that remain after a node has ended by itself, and between two rounds of it:
processes that fork fast need several rounds. After a request to stop, the caller decides when to kill."""


def main(folder: str, *stages: str) -> None:
    """Detach and become the supervisor of the node in `folder`, unless it has or had one."""
    parent_end, own_end = os.pipe()
    if os.fork():
        os.close(own_end)
        os.read(parent_end, 1)  # returns when the supervisor has recorded itself, or has ended
        os._exit(0)
    os.close(parent_end)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if not claim(folder):
        return
    os.close(own_end)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asked = False
    try:
        asked = run(folder, stages)
    finally:
        stop(asked)


def claim(folder: str) -> bool:
    """Record this process as the node's supervisor. False if there already was one, or the node is being deleted.

    The lock ends with the process and the record outlives it, so that stages never run twice.
    """
    record = os.open(f"{folder}/supervisor", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if os.fstat(record).st_size or os.path.exists(f"{folder}/deleting") or not os.path.exists(f"{folder}/node.json"):  # noqa: PTH110
        return False
    os.write(record, f"{os.getpid()} {start_ticks(os.getpid())}\n".encode())
    return True


def run(folder: str, stages: tuple[str, ...]) -> bool:
    """Run the stages in order; return when the node should end: True if it was asked to stop."""
    for stage in stages:
        status = wait_for(start(folder, stage))
        if status is None:
            return True
        note(folder, f"{stage} {status}\n")
        if stage == "command" or (stage != "runcmd" and status):
            return False
    return wait_for(0) is None


def start(folder: str, stage: str) -> int:
    """Start a stage in its own process group; return the process id."""
    log = os.open(f"{folder}/log/{stage}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return os.posix_spawn(
            "/bin/sh",
            ["sh", f"{folder}/stages/{stage}.sh"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setpgroup=0,
            setsigmask=[],
            setsigdef=DEFAULTS,
        )
    finally:
        os.close(log)


def wait_for(pid: int) -> int | None:
    """Reap until `pid` ends; return its exit status, None after a request to stop.

    The exit status is minus the number of the signal that ended the process, if one did.
    """
    while True:
        ended, _ = reap()
        if pid in ended:
            return ended[pid]
        if signal.sigwait(SIGNALS) == signal.SIGTERM:
            return None


def reap() -> tuple[dict[int, int], bool]:
    """Exit statuses, by process id, of the children that have ended; and whether there are more children."""
    ended: dict[int, int] = {}
    try:
        while (result := os.waitpid(-1, os.WNOHANG))[0]:
            ended[result[0]] = os.waitstatus_to_exitcode(result[1])
    except ChildProcessError:
        return ended, False
    return ended, True


def stop(in_its_own_time: bool) -> None:
    """End every descendant: SIGTERM, then SIGKILL after a while unless `in_its_own_time`.

    As the subreaper, this process outlives them. New children are signalled again: a process that was just starting may
    have missed the first signal.
    """
    asked = children(os.getpid())
    send(signal.SIGTERM, descendants(os.getpid()))
    if not in_its_own_time:
        signal.setitimer(signal.ITIMER_REAL, KILL_AFTER, KILL_EVERY)
    while reap()[1]:
        adopted = children(os.getpid()) - asked
        send(signal.SIGTERM, list(adopted))
        asked |= adopted
        if signal.sigwait(SIGNALS) == signal.SIGALRM:
            send(signal.SIGKILL, descendants(os.getpid()))


def send(number: signal.Signals, pids: list[int]) -> None:
    """Send a signal to these processes, in their order."""
    for pid in pids:
        try:  # noqa: SIM105  # contextlib would cost every node memory
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # already ended, or of another user


def children(parent: int) -> set[int]:
    """Process ids of the direct children of `parent`."""
    return {pid for pid, above in parents_of_all().items() if above == parent}


def parents_of_all() -> dict[int, int]:
    """The parent's process id for each process of this host."""
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal() and (fields := stat_fields(int(name))):
            parents[int(name)] = int(fields[1])
    return parents


def descendants(ancestor: int) -> list[int]:
    """Process ids of everything below `ancestor`, each parent before its children.

    So a program that waits for its child gets the signal before the child ends.
    """
    parents = parents_of_all()
    found = [ancestor]
    for above in found:
        found += [pid for pid, parent in parents.items() if parent == above and pid != ancestor]
    return found[1:]


def note(folder: str, line: str) -> None:
    """Add a line to the node's exit statuses."""
    try:
        exits = os.open(f"{folder}/exits", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(exits, line.encode())
        os.close(exits)
    except OSError as exc:
        print(exc, file=sys.stderr)  # noqa: T201  # a full disk must not end the node


def start_ticks(pid: int) -> int | None:
    """The start of a living process in clock ticks since boot, which identifies it together with its id.

    None if it has ended.
    """
    fields = stat_fields(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def stat_fields(pid: int) -> list[str] | None:
    """Fields of ``/proc/PID/stat`` from the third (the state) on; the second may contain anything, even brackets."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
