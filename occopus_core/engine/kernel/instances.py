"""Takes over the instances that handlers answer: as objects of the contract's own classes, with valid ids and texts."""

from __future__ import annotations

from occopus_core.api.resource import LONGEST_ID, Address, Instance, InstanceId, Owner
from occopus_core.sound_errors import sound_text

_SHOWN = 60
"""The most characters of an invalid text that messages show."""


class WrongInstanceError(Exception):
    """An answer that is no valid `Instance`. The text follows the name of the method."""


def instance_of(answer: object, of: str = "") -> Instance:
    """The same instance, of the contract's own class. Texts for users are one line without control characters.

    `of` says in messages which part of the answer it is, such as ``for 'i-1'``. Raises `WrongInstanceError`.
    """
    where = f" {of}" if of else ""
    if not isinstance(answer, Instance):
        raise WrongInstanceError(f"answered {type(answer).__name__}{where}, expected an Instance")
    try:
        return _plain(answer)
    except WrongInstanceError as wrong:
        raise WrongInstanceError(f"answered an Instance{where} whose {wrong}") from None
    except (Exception, SystemExit) as error:  # code of the plugin may raise anything
        raise WrongInstanceError(f"answered an Instance{where} that cannot be read") from error


def _plain(answer: Instance) -> Instance:
    return Instance(
        InstanceId(_id(answer.id)),
        answer.state,
        tuple(_address(address) for address in answer.addresses),
        _identifying("token", answer.token),
        None if answer.owner is None else _owner(answer.owner),
        sound_text(answer.raw_state),
        sound_text(answer.reason),
    )


def _id(text: str) -> str:
    id = _identifying("id", text)
    if not id:
        raise WrongInstanceError("id is empty")
    if len(id) > LONGEST_ID:
        raise WrongInstanceError(f"id has {len(id)} characters, of which {LONGEST_ID} are allowed")
    return id


def _identifying(what: str, text: str) -> str:
    """A text by which an instance is found: another one in its place would find another instance."""
    plain = str.__str__(text)
    if not plain.isprintable():
        raise WrongInstanceError(f"{what} has characters that cannot be printed: {plain[:_SHOWN]!a}")
    return plain


def _address(address: object) -> Address:
    if not isinstance(address, Address):
        raise WrongInstanceError(f"addresses have {type(address).__name__}, expected Address")
    return Address(sound_text(address.value), address.kind)


def _owner(owner: Owner) -> Owner:
    fields = (owner.infra_id, owner.node_name, owner.node_id)
    return Owner(
        _identifying("owner", owner.installation),
        *(None if text is None else _identifying("owner", text) for text in fields),
    )
