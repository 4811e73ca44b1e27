"""The words of a command."""

import pytest

from occopus_core.api import Context, PermanentError


@pytest.mark.parametrize(
    ("command", "words"),
    [(None, []), ("", []), ("sh -c 'a  b'", ["sh", "-c", "a  b"]), (("echo", "a b"), ["echo", "a b"])],
)
def test_words(command, words):
    assert Context(command=command).words() == words


@pytest.mark.parametrize(
    ("command", "fault"),
    [("echo 'secret", "a quotation in it is not closed"), ("echo secret\\", "it ends with a backslash")],
)
def test_a_text_that_is_no_command(command, fault):
    with pytest.raises(PermanentError) as raised:
        Context(command=command).words()
    assert raised.value.message == f"contextualisation.command: {fault}"
    assert raised.value.at == "contextualisation.command"
