"""Usage errors: what is missing, and what was probably meant."""

from __future__ import annotations

import pytest

from occopus_core.cli import build, destroy, logs, maintain, rest_service, scale, ssh

WHO = "error: the following arguments are required: -i/--infra_id/--infraid"


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (destroy, ["shop"], f"{WHO}: did you mean -i shop? ("),
        (destroy, ["-y", "shop"], f"{WHO}: did you mean -i shop? ("),
        (destroy, ["--give-up", "shop"], f"{WHO} ("),
        (destroy, [], f"{WHO} ("),
        (destroy, ["-i", "shop", "more"], "error: unrecognized arguments: more ("),
        (logs, ["shop"], f"{WHO}: did you mean -i shop? ("),
        (maintain, ["-r", "shop"], "error: unrecognized arguments: shop: did you mean -i shop? ("),
        (maintain, ["--listips", "x"], "error: unrecognized arguments: --listips x: did you mean '--list'? ("),
        (maintain, ["-r", "--fop", "x"], "error: unrecognized arguments: --fop x ("),
        (maintain, ["x", "--reprot"], "error: unrecognized arguments: x --reprot: did you mean '--report'? ("),
        (maintain, ["-i", "shop", "--evnts=1"], "error: unrecognized arguments: --evnts=1: did you mean '--events'? ("),
        (maintain, ["-z", "x"], "error: unrecognized arguments: -z x ("),
        (logs, ["-i", "shop", "-c"], "error: unrecognized arguments: -c: did you mean '--cfg'? ("),
        (maintain, ["-e"], "error: unrecognized arguments: -e: did you mean '--events' or '--extend'? ("),
        (maintain, ["-L"], "error: unrecognized arguments: -L: did you mean '-l'? ("),
        (logs, ["-i", "shop", "-t"], "error: unrecognized arguments: -t ("),
        (logs, ["-i", "shop", "-s", "5m"], "error: unrecognized arguments: -s: did you mean '--since'? ("),
        (destroy, ["-Y", "shop"], f"{WHO}: did you mean '-y'? ("),
        (maintain, ["--interval", "3", "--rep", "x"], "error: unrecognized arguments: x: did you mean -i x? ("),
        (maintain, ["-t3", "x"], "error: unrecognized arguments: x: did you mean -i x? ("),
        (destroy, ["--force", "shop"], f"{WHO} ("),
        (destroy, ["--yess", "shop"], f"{WHO}: did you mean '--yes'? ("),
        (scale, ["-n", "web", "shop"], f"{WHO}: did you mean -i shop? ("),
    ],
)
def test_a_name_without_its_option(command, argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(message)


TOO_LONG = "is too long: a life time is at most 365250d, and ends before the year 9999 ("
A_WEEK = "argument --interval: a number of seconds is between 1 and 604,800, got '{}' ("
A_DAY = "argument --timeout: a number of seconds is between 0 and 86,400, got '{}' ("


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (build, ["--ttl", "999999999w", "a.yaml"], f"argument --ttl: '999999999w' {TOO_LONG}"),
        (build, ["--ttl", "365251d", "a.yaml"], f"argument --ttl: '365251d' {TOO_LONG}"),
        (
            build,
            ["--plan", "--ttl", "9999-12-31T23:59-12:00", "a.yaml"],
            f"argument --ttl: '9999-12-31T23:59-12:00' {TOO_LONG}",
        ),
        (
            build,
            ["--ttl", "0001-01-01T00:00+12:00", "a.yaml"],
            "argument --ttl: 0001-01-02T00:00:00+00:00 is over already (",
        ),
        *(
            (rest_service, [f"--interval={text}"], A_WEEK.format(text))
            for text in ("-1", "0", "0.9", "604801", "1e300")
        ),
        *((ssh, ["-i", "shop", f"--timeout={text}"], A_DAY.format(text)) for text in ("-1", "86401", "1e300")),
        *(
            (command, [f"--{name}={text}"], f"argument --{name}: expected a number, got '{text}' (")
            for command, name in ((rest_service, "interval"), (rest_service, "rate"), (ssh, "timeout"))
            for text in ("nan", "inf", "-inf", "1e400")
        ),
    ],
)
def test_times_beyond_their_bounds_are_refused_with_the_name_of_the_option(command, argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
