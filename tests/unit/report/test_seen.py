"""As of when the states of a report are."""

import dataclasses

import pytest

from occopus_core.report import report_of
from occopus_core.report.forms import written
from occopus_core.report.seen import LATEST_SECONDS, age
from occopus_core.store.records import Holding, Maintainer, Stage

NOW = 1_700_000_000.0
LINE = "states as of 2023-11-14T22:01:20+00:00 (12 min ago); occopus-maintain -i infra-1 looks again"
UNKNOWN = "it is not known when these states were seen; occopus-maintain -i infra-1 looks"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86399, "23 h"), (200000, "2 d")],
)
def test_age(seconds, text):
    assert age(seconds) == text


@pytest.fixture
def shown(snapshot, instance):
    """The last line of a report at `NOW`, and its `seen_at`."""

    def shown(seen_at, stage=Stage.READY, wanted=True, **more):
        taken = snapshot(instance("web", 1, stage=stage))
        record = dataclasses.replace(taken.infrastructure, seen_at=seen_at, wanted=wanted)
        taken = dataclasses.replace(taken, infrastructure=record, at=NOW, **more)
        return written(taken, "table").splitlines()[-1], report_of(taken)["web"]["seen_at"]

    return shown


def test_where_no_process_looks_the_report_says_as_of_when_its_states_are(shown):
    assert shown(NOW - 720) == (LINE, "2023-11-14T22:01:20+00:00")
    assert shown(None) == (UNKNOWN, None)
    killed = Maintainer("process 1 on host", NOW - 9000, NOW - 800)
    assert shown(NOW - 720, maintainer=killed)[0] == LINE


def test_what_is_looked_at_or_worked_on_has_no_such_line(shown):
    alive = Maintainer("process 1 on host", NOW - 9000, NOW - 1)
    assert shown(NOW - LATEST_SECONDS, maintainer=alive)[0].startswith("maintained by process 1 on host")
    assert shown(NOW - 720, maintainer=alive)[0] == LINE
    assert shown(None, maintainer=dataclasses.replace(alive, since=NOW - 9))[0].startswith("maintained by")
    assert shown(None, maintainer=alive)[0] == UNKNOWN
    assert shown(NOW - 720, holding=Holding("process 1 on host", NOW + 9))[0] == "not maintained"
    assert shown(NOW - 720, stage=Stage.BOOTING)[0] == "not maintained"
    assert shown(NOW - 720, wanted=False)[0] == "not maintained"
