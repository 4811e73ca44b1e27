"""Files of 1.x, rendered with `compatibility: 1.x`, are on the node what they were: equal as data.

The one difference is meant: a variable that is a whole number with leading zeros prints as it was written.
"""

from __future__ import annotations

from typing import Any

import pytest

from occopus_core.contextualisers.cloudinit import CloudInit
from occopus_core.descriptions.infrastructure import load_infrastructure
from occopus_core.descriptions.loader import load
from occopus_core.render import Renderer
from occopus_core.template_functions import cut
from occopus_core.templates_1x import Templates1x
from tests.unit.compatibility import generator, reference

FILES = 2_600
CHUNKS = 20
LEAST = 2_000 // CHUNKS


def getip(node: Any) -> str:
    assert node == "peer"
    return "192.0.2.7"


NAMES = {"infra_name": "shop", "name": "web", "infra_id": "0123456789", "getip": getip, "cut": cut}


def ours(context_template: str, variables: str) -> Any:
    text = f"infra_name: shop\nuser_id: me\nnodes:\n- name: web\n  type: web\n  variables:\n{variables}"
    infrastructure = load_infrastructure(text, name="infra.yaml")
    section = {"type": "cloudinit", "context_template": load(context_template, name="nodes.yaml").data}
    render = Renderer(
        {**NAMES, "variables": infrastructure.nodes[0].variables}, {}, "", manners=Templates1x(former=True)
    )
    user_data = CloudInit().contextualise(section, render).user_data
    assert user_data is not None
    return reference.read(user_data)


def theirs(context_template: str, variables: str) -> Any:
    found = reference.read(f"variables:\n{variables}")
    return reference.rendered(context_template, {**NAMES, **found})


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_files_are_what_they_were(chunk):
    compared = 0
    for seed in range(chunk, FILES, CHUNKS):
        made = generator.made(seed)
        try:
            wanted = theirs(made.context_template, made.variables)
        except Exception:  # noqa: BLE001  # 1.x failed, too
            continue
        assert ours(made.context_template, made.variables) == wanted, (
            f"seed {seed}:\n{made.context_template}\n{made.variables}"
        )
        compared += 1
    assert compared >= LEAST
