"""Every file in `bad/KIND` is refused with exactly the lines beside it, `NAME.expected`, and nothing else happens."""

from collections.abc import Callable
from pathlib import Path

import pytest

from occopus_core.credentials import Credentials
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.planning.declared_outputs import output_faults
from occopus_core.settings import Settings

BAD = Path(__file__).parent / "bad"
CASES = sorted(path.relative_to(BAD) for path in BAD.glob("*/*.yaml"))


def test_there_are_enough_cases_and_each_says_what_it_expects():
    assert len(CASES) >= 60
    assert {path.with_suffix(".yaml") for path in BAD.glob("*/*.expected")} == {BAD / case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_refused_with_these_lines(case, plugins, monkeypatch):
    loaders: dict[str, Callable[[str], object]] = {
        "infrastructure": lambda name: load_infrastructure(name, judge_outputs=output_faults),
        "node_definitions": lambda name: load_node_definitions(name, plugins),
        "auth_data": lambda name: Credentials.load(name, {}),
        "config": lambda name: Settings.load(name, {}),
    }
    monkeypatch.chdir(BAD / case.parent)
    with pytest.raises(DescriptionError) as raised:
        loaders[str(case.parent)](case.name)
    assert str(raised.value) == Path(case.name).with_suffix(".expected").read_text("utf-8").rstrip("\n")
