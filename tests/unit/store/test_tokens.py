from __future__ import annotations

import contextlib

import pytest

from occopus_core.store.database import open_database
from occopus_core.store.records import NoSuchInfrastructureError
from occopus_core.store.repository import Store
from occopus_core.store.service import ANSWER_SECONDS, Answer, KeyReusedError, UnansweredError
from occopus_core.store.tokens import Scope

from .builders import infrastructure


@pytest.fixture
def store(store_url):
    with contextlib.closing(open_database(store_url)) as database:
        yield Store(database)


def test_a_token_is_found_until_it_is_revoked(store):
    text = store.tokens.create("vm", Scope.SCALE, "i", 100.0)
    found = store.tokens.find(text)
    assert (found.name, found.scope, found.infra_id, found.revoked_at) == ("vm", Scope.SCALE, "i", None)
    assert store.tokens.revoke(found.id, 200.0)
    assert store.tokens.find(text) is None
    assert store.tokens.revoke(found.id, 300.0)
    assert [one.revoked_at for one in store.tokens.all()] == [200.0]
    assert not store.tokens.revoke("nobody", 300.0)


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "x", lambda _: "", lambda _: "occ__"])
def test_similar_texts_are_no_tokens(store, change):
    assert store.tokens.find(change(store.tokens.create("me", Scope.READ, None, 100.0))) is None


def test_the_secret_of_one_token_is_invalid_with_the_id_of_another(store):
    one, other = (store.tokens.create(name, Scope.READ, None, 100.0) for name in ("one", "other"))
    assert store.tokens.find(one[:20] + other[20:]) is None


def test_each_scope_includes_those_before_it():
    table = {(one, other): one.includes(other) for one in Scope for other in Scope}
    assert [pair for pair, includes in table.items() if not includes] == [
        (Scope.READ, Scope.SCALE),
        (Scope.READ, Scope.WRITE),
        (Scope.SCALE, Scope.WRITE),
    ]


def test_marked_infrastructures_are_maintained(store):
    for name, marked in (("i", True), ("j", False)):
        store.add_infrastructure(name, infrastructure(), {"web": 1}, "me", 100.0, maintained=marked)
    assert store.service.maintained() == ["i"]
    store.service.mark("j", maintained=True)
    store.service.mark("i", maintained=False)
    assert store.service.maintained() == ["j"]
    with pytest.raises(NoSuchInfrastructureError):
        store.service.mark("nobody", maintained=True)


def test_a_silent_service_is_gone(store):
    assert store.service.beat("a", 100.0, 15.0) == ["a"]
    assert store.service.beat("b", 110.0, 15.0) == ["a", "b"]
    assert store.service.beat("b", 116.0, 15.0) == ["b"]
    store.service.leave("b")
    assert store.service.beat("a", 117.0, 15.0) == ["a"]


def test_a_service_that_was_there_before_the_time_was_set_back_is_not_taken_for_alive(store):
    store.service.beat("dead", 5000.0, 15.0)
    assert store.service.beat("a", 100.0, 15.0) == ["a"]
    assert store.service.beat("b", 96.0, 15.0) == ["a", "b"], "clocks may be a little apart"


def test_the_same_request_gets_the_same_answer_for_a_day(store):
    rows = store.service
    assert rows.claim("key", "request", 100.0) is None
    with pytest.raises(UnansweredError):
        rows.claim("key", "request", 101.0)
    rows.keep("key", Answer(201, {"infraid": "i"}))
    assert rows.claim("key", "request", 102.0) == Answer(201, {"infraid": "i"})
    with pytest.raises(KeyReusedError):
        rows.claim("key", "another", 103.0)
    assert rows.claim("key", "another", 101.0 + ANSWER_SECONDS) is None


def test_a_request_without_effect_may_come_again(store):
    assert store.service.claim("key", "request", 100.0) is None
    store.service.forget("key")
    assert store.service.claim("key", "another", 100.0) is None
