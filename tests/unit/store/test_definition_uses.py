"""Which infrastructures use a node definition; one in use stays."""

import dataclasses

import pytest
import sqlalchemy as sa

from occopus_core.store import tables
from occopus_core.store.definition_uses import User
from occopus_core.store.records import DefinitionInUseError, NoSuchDefinitionError, SpoiltError

from .builders import definition, implementation, infrastructure


@pytest.fixture
def users(store, database):
    """`database` and `server` are used by one that is built, `server2` by the description that another one gets."""
    store.put_definitions([definition(name, implementation(name)) for name in ("database", "server", "free", "cache")])
    lease = store.add_infrastructure("one", infrastructure("shop"), {}, "me", 1.0)
    with store.changing(lease) as change:
        change.finish_build(infrastructure("shop"), {})
    lease = store.add_infrastructure("shop", infrastructure("shop"), {}, "me", 2.0)
    with store.changing(lease) as change:
        change.finish_build(infrastructure("shop"), {})
        change.put_candidate(_with_cache())
    return store


def _with_cache():
    described = infrastructure("shop")
    return dataclasses.replace(
        described, nodes=(*described.nodes, dataclasses.replace(described.nodes[0], name="c", type="cache"))
    )


def test_those_in_force_and_those_being_built_use_it(users):
    both = [User("one", "shop"), User("shop", "shop")]
    assert users.definition_uses.all() == {"database": both, "server": both, "cache": both[1:]}
    assert list(map(str, both)) == ["shop (one)", "shop"]


@pytest.mark.parametrize("name", ["database", "cache"])
def test_one_in_use_stays(users, name):
    with pytest.raises(DefinitionInUseError, match=f"the node definition '{name}' is used by shop"):
        users.definition_uses.remove(name)
    assert name in users.definition_names()


def test_one_that_none_uses_is_removed_with_what_only_it_needs(users, database):
    users.definition_uses.remove("free")
    assert "free" not in users.definition_names()
    assert users.implementations({implementation("free").digest}) == {}
    assert len(users.definitions(["server"])["server"].implementations) == 1


def test_one_that_does_not_exist(users):
    with pytest.raises(NoSuchDefinitionError, match="there is no node definition 'nope'"):
        users.definition_uses.remove("nope")


def test_many_users_are_counted(store):
    assert str(DefinitionInUseError("web", [f"i{number}" for number in range(1007)])) == (
        "the node definition 'web' is used by i0, i1, i2, i3, i4 and 1,002 more"
    )


@pytest.mark.parametrize("spoilt", ["{", "[]", "{}", '{"nodes": [{}]}', '{"nodes": [{"type": 1}]}'])
def test_nothing_is_removed_while_a_description_cannot_be_read(users, database, spoilt):
    with database.writing() as connection:
        connection.execute(
            sa.update(tables.infrastructures).where(tables.infrastructures.c.id == "one").values(description=spoilt)
        )
    with pytest.raises(SpoiltError, match="the infrastructure 'one' in the store cannot be read"):
        users.definition_uses.remove("free")
    assert "free" in users.definition_names()
