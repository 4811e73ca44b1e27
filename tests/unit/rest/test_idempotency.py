from __future__ import annotations

from types import SimpleNamespace

import pytest

from occopus_core.rest.idempotency import HEADER, once
from occopus_core.rest.problems import Refused
from occopus_core.store.database import open_database
from occopus_core.store.records import StoreError
from occopus_core.store.repository import Store


@pytest.fixture
def request_of(tmp_path):
    store = Store(open_database(f"sqlite:///{tmp_path}/store.db"))
    state = SimpleNamespace(service=SimpleNamespace(store=store))
    url, app = SimpleNamespace(path="/infrastructures/"), SimpleNamespace(state=state)
    return SimpleNamespace(headers={HEADER: "k"}, method="POST", url=url, app=app)


def fails(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize("error", [StoreError("locked"), Refused(503, "too many")])
def test_a_request_without_effect_may_be_repeated(request_of, error):
    with pytest.raises(type(error)):
        once(request_of, "me", b"", fails(error))
    assert once(request_of, "me", b"", lambda: {"infraid": "one"}, 201).status_code == 201


def test_a_request_with_a_possible_effect_is_not_repeated(request_of):
    lost = StoreError("the server went away")
    lost.unknown = True
    with pytest.raises(StoreError):
        once(request_of, "me", b"", fails(lost))
    with pytest.raises(Refused) as refused:
        once(request_of, "me", b"", lambda: pytest.fail("it is done twice"))
    assert refused.value.status_code == 409
