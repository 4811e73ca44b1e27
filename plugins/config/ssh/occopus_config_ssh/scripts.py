"""Scripts that run on a node: for any POSIX shell, with `flock`, `setsid` and `base64`.

A node stores the state of its job in a folder, so any process that can log in finds the job again:

``lock``        held (`flock`) while the job runs, whichever way it ends
``gate``        a lock held while a job is started or ended
``generation``  of the last job
``session``     the process group of the job
``progress``    the current step
``result``      exit code and step, after the job has ended by itself
``output``      the output of the job

Every script is read completely before any of it runs: one truncated by a broken connection does nothing.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

UNKNOWN, IDLE, RUNNING, ENDED = "unknown", "idle", "running", "ended"
"""The first word that the `status` script prints after `MARK`."""
MARK = "occopus-status"
OUTPUT_LINES, OUTPUT_BYTES = 40, 65536
"""The last lines of a job's output that the `status` script prints, with the most bytes."""
END_SECONDS = 5
"""How long a job may clean up before it is killed."""

_PROLOGUE = """\
umask 077
if [ "$(id -u)" = 0 ]; then base=/var/lib/occopus; else base=$HOME/.occopus; fi
d=$base/{folder}
running() {{ ! flock -s -n "$d/lock" true; }}
"""

_END_JOB = """\
end_job() {{
    session=$(cat "$d/session" 2>/dev/null)
    [ -z "$session" ] || kill -TERM "-$session" 2>/dev/null
    flock -w {seconds} "$d/lock" true
    [ -z "$session" ] || kill -KILL "-$session" 2>/dev/null
    flock -w {seconds} "$d/lock" true && rm -f "$d/job" "$d/result"
}}
"""

_CONFIGURE = """\
decode() {{ base64 -d >"$d/job.new" && mv "$d/job.new" "$d/job" || {{ echo "$d cannot be written"; exit 65; }}; }}
main() {{
    for tool in flock setsid base64; do
        command -v $tool >/dev/null || {{ echo "the node has no '$tool'"; exit 64; }}
    done
    mkdir -p "$d" && exec 8>"$d/gate" || {{ echo "the folder $d cannot be written"; exit 65; }}
    flock -w {seconds} 8 || {{ echo "another process is starting a job"; exit 75; }}
    known=$(cat "$d/generation" 2>/dev/null)
    if running; then
        [ "$known" != {generation} ] || exit 0
        end_job || {{ echo "the former job cannot be ended"; exit 75; }}
    elif [ "$known" = {generation} ] && [ "$(cut -d' ' -f1 "$d/result" 2>/dev/null)" = 0 ]; then
        exit 0
    fi
    rm -f "$d/result" "$d/progress" "$d/session"
    decode <<'OCCOPUS_JOB'
{job}
OCCOPUS_JOB
    echo {generation} >"$d/generation.new" && mv "$d/generation.new" "$d/generation" || exit 65
    exec 9>"$d/lock"
    flock -w {seconds} 9 || {{ echo "another job is running"; exit 75; }}
    setsid sh "$d/job" 8>&- >"$d/output" 2>&1 </dev/null &
}}
main
"""

_JOB = """\
d=$(dirname "$0")
trap 'exit 143' TERM
echo $$ >"$d/session"
step=
finish() {{ echo "$1 $step" >"$d/result.new"; mv "$d/result.new" "$d/result"; rm -f "$d/job"; exit 0; }}
at() {{ step=$1; echo "$1" >"$d/progress.new"; mv "$d/progress.new" "$d/progress"; }}
put() {{
    new=$1.occopus-$(basename "$d")
    mkdir -p "$(dirname "$1")" && (umask 077; base64 -d >"$new") && chmod "$2" "$new" || finish 1
    [ -z "$3" ] || chown "$3" "$new" || finish 1
    if [ -f "$1" ] && [ ! -L "$1" ] && cmp -s "$new" "$1" && [ "$(about "$1")" = "$(about "$new")" ]; then
        rm -f "$new"
    else
        mv -f "$new" "$1" || finish 1
    fi
}}
about() {{ stat -c '%a %u %g' "$1"; }}
run() {{ sh -c "$1" 9>&- </dev/null; }}
umask 022
cd /
{steps}
finish 0
"""

_STATUS = """\
printed() {{  # whole lines: a part of a secret would not be recognised
    if [ "$(wc -c <"$d/output")" -gt {bytes} ]; then tail -c {bytes} "$d/output" | sed 1d; else cat "$d/output"; fi
}}
main() {{
    if [ ! -f "$d/generation" ]; then echo "{mark} {unknown}"; exit 0; fi
    if running; then
        echo "{mark} {running} $(cat "$d/generation" 2>/dev/null)"; cat "$d/progress" 2>/dev/null; exit 0
    fi
    if [ ! -f "$d/result" ]; then echo "{mark} {idle} $(cat "$d/generation")"; exit 0; fi
    echo "{mark} {ended} $(cat "$d/generation") $(cat "$d/result")"
    [ ! -f "$d/output" ] || printed | grep -v '^[[:space:]]*$' | tail -n {lines}
}}
main
"""

_CANCEL = """\
main() {{
    [ -d "$d" ] || exit 0
    exec 8>"$d/gate"; flock -w {seconds} 8 || exit 75
    ! running || end_job || exit 75
}}
main
"""

_LEAVE = """\
main() {{
    [ -d "$d" ] || exit 0
    exec 8>"$d/gate"; flock -w {seconds} 8 || exit 75
    ! running || end_job || exit 75
    rm -rf "$d"
}}
main
"""


def configure(node_id: str, generation: str, section: Mapping[str, Any]) -> str:
    """Start the job of a generation, unless it is running or done; end the job of another generation first."""
    job = _encoded(_JOB.format(steps="\n".join(_steps(section))))
    return _script(_END_JOB + _CONFIGURE, node_id, generation=shlex.quote(generation), job=job)


def status(node_id: str) -> str:
    """Print the progress of the job, and the last lines of its output if it has ended."""
    states = {"unknown": UNKNOWN, "idle": IDLE, "running": RUNNING, "ended": ENDED}
    return _script(_STATUS, node_id, mark=MARK, **states, lines=OUTPUT_LINES, bytes=OUTPUT_BYTES)


def cancel(node_id: str) -> str:
    """End the job, if it runs."""
    return _script(_END_JOB + _CANCEL, node_id)


def leave(node_id: str) -> str:
    """End the job and remove its files."""
    return _script(_END_JOB + _LEAVE, node_id)


def commands(section: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The commands of a section, each as a mapping with a `name` for messages."""
    given = [{"run": each} if isinstance(each, str) else each for each in section.get("commands", ())]
    return [
        {**each, "name": f"command {number} of {len(given)}" + (f" ({each['name']})" if "name" in each else "")}
        for number, each in enumerate(given, 1)
    ]


def _script(text: str, node_id: str, **values: object) -> str:
    prologue = _PROLOGUE.format(folder=shlex.quote(node_id))
    return prologue + text.format(seconds=END_SECONDS, **values)


def _steps(section: Mapping[str, Any]) -> Sequence[str]:
    steps: list[str] = []
    for file in section.get("files", ()):
        put = shlex.join(["put", file["path"], file.get("mode", "0644"), file.get("owner", "")])
        steps += [shlex.join(["at", f"file {file['path']}"]), f"{put} <<'OCCOPUS_FILE'"]
        steps += [_encoded(file["content"]), "OCCOPUS_FILE"]
    if "unless" in section:
        steps += ["at unless", f"if run {shlex.quote(section['unless'])}; then finish 0; fi"]
    for each in commands(section):
        run = f"run {shlex.quote(each['run'])} || finish $?"
        steps.append(shlex.join(["at", each["name"]]))
        steps.append(f"run {shlex.quote(each['unless'])} || {run}" if "unless" in each else run)
    return steps


def _encoded(text: str) -> str:
    return base64.encodebytes(text.encode()).decode().rstrip("\n")
