"""What ``occopus-ssh`` says before it connects to anything."""

import pytest

from occopus_core.cli import ssh
from occopus_core.cli.exits import ExitCode


def test_the_usage_has_the_command(capsys):
    with pytest.raises(SystemExit):
        ssh.main(["--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    assert usage.startswith("usage: occopus-ssh ")
    assert usage.endswith("[NODE] [-- COMMAND]")
    with pytest.raises(SystemExit):
        ssh.main(["-i", "infra-1", "--all"])
    assert "add -- COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--all"], []])
def test_the_instance_without_credentials_is_named(store, capsys, more):
    assert ssh.main(["-i", "infra-1", *more, "--", "true"]) == ExitCode.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: web/id-1: no key and no password for the SSH user 'root': add `private_key` or ")
