"""Every state of a report is known to every consumer: one that is added and forgotten somewhere fails here."""

import itertools
import json
import re
from pathlib import Path

import pytest

from occopus_core.report import ReportState, state_at
from occopus_core.report.forms import written
from occopus_core.report.graph import COLOURS
from occopus_core.rest.metrics import Metrics
from occopus_core.store.database import open_database
from occopus_core.store.records import Condition, Stage
from occopus_core.store.repository import Store

STATES = [state.value for state in ReportState]
ROOT = Path(__file__).parents[3]


def test_every_stage_and_condition_has_a_state():
    found = {state_at(stage, condition) for stage, condition in itertools.product(Stage, Condition)}
    assert found == set(STATES)


@pytest.mark.parametrize("form", ["json", "yaml", "table", "ansible-inventory", "mermaid", "dot"])
def test_every_form_shows_every_state(snapshot, instance, form):
    kinds = list(itertools.product(Stage, Condition))
    taken = snapshot(
        *(
            instance("web", number, f"10.0.0.{number}", stage=stage, condition=condition)
            for number, (stage, condition) in enumerate(kinds, 1)
        ),
        nodes=("web",),
        targets={"web": 1},
    )
    shown = written(taken, form)
    left_out = {"shutdown"} if form == "ansible-inventory" else set()
    assert {state for state in STATES if state not in shown} <= left_out


def test_every_state_has_a_colour_in_graphs():
    assert set(COLOURS) == {*STATES, "absent"}


def test_metrics_have_every_state(tmp_path):
    metrics = Metrics()
    store = Store(open_database(f"sqlite:///{tmp_path}/store.db"))
    metrics.show(store)
    text = metrics.text().decode()
    store.close()
    assert re.findall(r'occopus_instance_states\{state="(\w+)"\} 0', text) == STATES
    assert "occopus_infrastructures_frozen 0.0" in text


def test_the_page_has_a_rank_and_a_sign_for_every_state():
    page = (ROOT / "plugins/page/dashboard/occopus_page_dashboard/states.js").read_text()
    order = json.loads(re.search(r"ORDER = (\[.*?\])", page)[1])
    signs = re.findall(r"^  (\w+): \"M", page, re.MULTILINE)
    assert set(STATES) <= set(order)
    assert set(STATES) <= set(signs)


@pytest.mark.parametrize("name", ["usage.md", "maintenance.md"])
def test_the_documents_have_every_state(name):
    text = (ROOT / "docs" / name).read_text()
    assert [state for state in STATES if f"| `{state}` |" not in text] == []
