"""Plans in answers, for clients that may read descriptions and for those that may not."""

from occopus_core.engine.planning.changes import HIDDEN, Change, Changes
from occopus_core.engine.planning.plan import Plan
from occopus_core.rest.routes.planned import Planned, planned_of

PLAN = Plan((), changes=Changes([Change("outputs.url", None, "'x'")], {"web": [Change("scaling.max", "'1'", "'2'")]}))


def test_values_are_for_clients_that_may_read_descriptions():
    shown, hidden = (Planned(**planned_of(PLAN, values=values)) for values in (True, False))
    assert shown.changes["web"][0].model_dump() == {"path": "scaling.max", "before": "'1'", "after": "'2'"}
    assert hidden.changes["web"][0].model_dump() == {"path": "scaling.max", "before": HIDDEN, "after": HIDDEN}
    assert hidden.infrastructure_changes[0].model_dump() == {"path": "outputs.url", "before": None, "after": HIDDEN}
