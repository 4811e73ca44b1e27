"""Values and errors that plugins make with wrong types; values that they get."""

from dataclasses import replace

import pytest

from occopus_core.api import (
    Address,
    AuthError,
    Connection,
    Instance,
    InstanceState,
    Owner,
    PermanentError,
    ProviderError,
    ThrottledError,
    TransientError,
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": 17}, "Instance.id is of the type int, expected str"),
        ({"state": "ready"}, "Instance.state is of the type str, expected InstanceState"),
        ({"state": "ready", "raw_state": "ACTIVE"}, "Instance.state is of the type str, expected InstanceState"),
        ({"state": None, "raw_state": "ACTIVE"}, "Instance.state is of the type NoneType, expected InstanceState"),
        ({"addresses": "127.0.0.1"}, "Instance.addresses is of the type str, expected tuple"),
        ({"addresses": ("127.0.0.1",)}, "Instance.addresses is of the type str, expected Address"),
        ({"owner": "me"}, "Instance.owner is of the type str, expected Owner or NoneType"),
        ({"token": 1}, "Instance.token is of the type int, expected str"),
        ({"raw_state": 5}, "Instance.raw_state is of the type int, expected str"),
        ({"reason": ValueError("no")}, "Instance.reason is of the type ValueError, expected str"),
    ],
)
def test_an_instance_with_a_value_of_a_wrong_type_is_refused(values, message):
    with pytest.raises(TypeError) as caught:
        Instance(**{"id": "i-1", "state": InstanceState.READY, **values})
    assert str(caught.value) == message


def test_an_instance_takes_a_list_of_addresses_and_none_for_an_empty_text():
    address = Address("127.0.0.1")
    instance = Instance(
        "i-1", InstanceState.READY, [address], token=None, owner=Owner("here"), raw_state=None, reason=None
    )
    assert instance == Instance("i-1", InstanceState.READY, (address,), owner=Owner("here"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((127,), "Address.value is of the type int, expected str"),
        ((None,), "Address.value is of the type NoneType, expected str"),
        (("127.0.0.1", "public"), "Address.kind is of the type str, expected AddressKind"),
    ],
)
def test_an_address_with_a_value_of_a_wrong_type_is_refused(values, message):
    with pytest.raises(TypeError) as caught:
        Address(*values)
    assert str(caught.value) == message


class Mute:
    """An object whose text raises."""

    def __str__(self):
        raise RuntimeError("mute")


@pytest.mark.parametrize("error", [ProviderError, TransientError, ThrottledError, AuthError, PermanentError])
@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("refused", "refused"),
        (ValueError("bad value"), "ValueError: bad value"),
        (ValueError(), "ValueError"),
        (None, "the plugin gives no reason"),
        ("", "the plugin gives no reason"),
        (" \n", "the plugin gives no reason"),
        (404, "404"),
        (Mute(), "Mute"),
    ],
)
def test_the_message_of_an_error_is_a_text(error, message, text):
    raised = error(message, request_id=7)
    assert (raised.message, raised.args) == (text, (text,))
    assert str(raised) == f"{text} (request 7)"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (5, 5.0),
        (0.5, 0.5),
        ("5", 5.0),
        (" 1.5 ", 1.5),
        (None, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("nan", None),
        (float("inf"), None),
        (-1, None),
        (True, None),
        ([5], None),
        (10**400, None),
    ],
)
def test_the_time_of_a_throttled_call_is_a_number_or_none(said, seconds):
    found = ThrottledError("busy", retry_after=said).retry_after
    assert found == seconds
    assert found is None or isinstance(found, float)


def test_a_place_that_is_no_text_is_not_known():
    assert PermanentError("refused", at=None).at == ""


def test_errors_within_more_are_all_in_it():
    deep = PermanentError("d", at="resource.d")
    middle = PermanentError("c", more=[deep])
    error = PermanentError("a", more=[PermanentError("b"), middle, "no error"])
    assert [one.message for one in error.more] == ["b", "c", "d"]
    assert error.more[2] is deep


def test_a_plugin_cannot_change_the_settings_and_credentials_of_its_connection():
    given = {"endpoint": "http://a", "zones": ["a", {"name": "b"}]}
    connection = Connection("mine", given, {"password": "p"})
    assert connection == Connection("mine", {"endpoint": "http://a", "zones": ("a", {"name": "b"})}, {"password": "p"})
    for mapping in (connection.settings, connection.settings["zones"][1], connection.auth):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["endpoint"] = "http://b"
    given["endpoint"] = "http://b"
    assert connection.settings["endpoint"] == "http://a"
    assert replace(connection, auth={}).settings == connection.settings
