import pytest

from occopus_core.store.records import NoSuchPlaceError, Place, PlaceInUseError, Stage

from .builders import implementation, infrastructure, record


@pytest.fixture
def lease(store):
    return store.add_infrastructure("i", infrastructure(), {}, "me", 100.0)


def make(store, lease, *ways):
    """One instance for each of these ways."""
    with store.changing(lease) as change:
        change.add_implementations(ways)
        change.add_instances(
            [record(f"n-{number}", implementation=way.digest, stage=Stage.CREATING) for number, way in enumerate(ways)]
        )


def drop(store, lease, *node_ids):
    with store.changing(lease) as change:
        change.remove_instances(node_ids)


def test_a_place_is_forgotten_when_nothing_is_recorded_there(store, lease):
    east, west = implementation("east"), implementation("west")
    make(store, lease, east, west)
    with pytest.raises(PlaceInUseError, match="the infrastructure 'i' has instances at 'east'"):
        store.places.forget("east")
    drop(store, lease, "n-0")
    store.places.forget("east")
    assert store.places.all() == [Place(west, record().connection)]
    assert store.implementations([east.digest]) == {}
    with pytest.raises(NoSuchPlaceError, match="no instance was ever made at 'east'"):
        store.places.forget("east")


def test_nothing_is_forgotten_where_one_of_several_of_a_name_is_in_use(store, lease):
    here, there = implementation("east", zone=1), implementation("east", zone=2)
    make(store, lease, here, there)
    drop(store, lease, "n-0")
    with pytest.raises(PlaceInUseError):
        store.places.forget("east")
    assert len(store.places.all("i")) == 2


def test_what_infrastructures_that_are_gone_have_used_is_forgotten_too(store, lease):
    make(store, lease, implementation("east"))
    with store.changing(lease) as change:
        change.remove_infrastructure()
    assert len(store.places.all()) == 1
    store.places.forget("east")
    assert store.places.all() == []
