"""Usage errors: what is missing, and what was probably meant."""

from __future__ import annotations

import pytest

from occopus_core.cli import destroy, logs, maintain, scale

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
        (scale, ["-n", "web", "shop"], f"{WHO}: did you mean -i shop? ("),
    ],
)
def test_a_name_without_its_option(command, argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(message)
