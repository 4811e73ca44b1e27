"""The options of ``occopus-scale``, and what it refuses."""

import pytest

from occopus_core.cli import scale


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-c", "x"], "argument -c/--changescale: a whole number is wanted, not 'x'"),
        (["-s", "1.5"], "argument -s/--setscale: a whole number is wanted, not '1.5'"),
        (["-s", "-1"], "argument -s/--setscale: a number of instances is not negative"),
        ([], "say -c by how many, -s to how many, or -f which instance goes"),
    ],
)
def test_numbers_that_are_none_are_refused_in_words(argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        scale.main(["-i", "infra-1", "-n", "web", *argv])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"occopus-scale: error: {message}\n")
