"""A real Chef API server, goiardi, on the loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from occopus_config_chef.testing import Goiardi, installed


@pytest.fixture(scope="session")
def goiardi() -> Iterator[Goiardi]:
    if not installed():
        pytest.skip("goiardi is not installed: apt-get install goiardi")
    with Goiardi() as server:
        yield server
