"""A client that `openapi-python-client` makes of the OpenAPI document."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

from occopus_core.descriptions.infrastructure import load_infrastructure

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PACKAGE = "occopus_generated_client"
METHODS = ("get", "post", "put", "delete")


@pytest.fixture
def document(served):
    return json.loads(served.get("/openapi.json").text)


@pytest.fixture
def generated(document, tmp_path, monkeypatch):
    """The name of the generated package, and the output of the generator."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    words = ["generate", "--path", "openapi.json", "--output-path", PACKAGE, "--meta", "none"]
    folder = Path(sys.executable).parent
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}  # it has ruff format what it writes
    made = subprocess.run(
        [folder / "openapi-python-client", *words],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    monkeypatch.syspath_prepend(tmp_path)
    yield PACKAGE, made.stdout + made.stderr
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def closing():
    with contextlib.ExitStack() as stack:
        yield stack


def operations(document):
    return [each for path in document["paths"].values() for key, each in path.items() if key in METHODS]


def test_no_operation_is_left_out(document, generated, tmp_path):
    _, said = generated
    for words in ("will not be generated", "will be omitted", "Unable to parse", "duplicate"):
        assert words not in said
    modules = [path for path in (tmp_path / PACKAGE / "api").rglob("*.py") if path.name != "__init__.py"]
    assert len(modules) == len(operations(document)) > 25


def test_the_client_builds_reports_scales_and_destroys(served, generated, cloud, describe, until, closing):
    def call(tag, operation, *values, **named):
        module = importlib.import_module(f"{PACKAGE}.api.{tag}.{operation}")
        answer = module.sync_detailed(*values, client=client, **named)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    package = importlib.import_module(PACKAGE)
    client = closing.enter_context(package.Client(served.base, raise_on_unexpected_status=True, timeout=600))
    create = importlib.import_module(f"{PACKAGE}.api.infrastructures.create_infrastructures_post")
    body = importlib.import_module(f"{PACKAGE}.models.create_infrastructures_post_json_infrastructure_description")
    description = body.CreateInfrastructuresPostJsonInfrastructureDescription.from_dict(json.loads(describe("web")))
    infra_id = create.sync(client=client, body=description).infraid

    def report():
        found = call("infrastructures", "report_infrastructures_infraid_get", infra_id).to_dict()["web"]
        return [one["state"] for one in found["instances"].values()]

    until(lambda: report() == ["ready"])
    assert infra_id in call("infrastructures", "list_all_infrastructures_get").infrastructures
    scaled = call("scaling", "to_infrastructures_infraid_scaleto_nodename_count_post", infra_id, "web", 2)
    assert (scaled.method, scaled.count) == ("scaleto", 2)
    until(lambda: report() == ["ready", "ready"])
    assert len(cloud.machines(infra_id)) == 2
    assert call("infrastructures", "destroy_infrastructures_infraid_delete", infra_id).infraid == infra_id
    assert cloud.machines(infra_id) == []
    gone = importlib.import_module(f"{PACKAGE}.api.infrastructures.report_infrastructures_infraid_get")
    problem = gone.sync(infra_id, client=client)
    assert (problem.status, problem.status_code) == (404, 404)


def test_titles_of_schemas_are_unique(document):
    titles = Counter(one.get("title") for one in document["components"]["schemas"].values())
    assert max(titles.values()) == 1
    assert all("__" not in name for name in document["components"]["schemas"])


def test_the_examples_of_the_document_are_valid(document):
    examples = 0
    for operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            jsonschema.Draft202012Validator({**content["schema"], "components": document["components"]}).validate(
                content["example"]
            )
            examples += 1
    assert examples >= 8
    bodies = document["paths"]["/infrastructures/"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"application/json", "application/yaml", "text/plain"}
    texts = (bodies["text/plain"]["example"], json.dumps(bodies["application/json"]["example"]))
    names = [[node.name for node in load_infrastructure(text, name="example").nodes] for text in texts]
    assert names == [["web"], ["web"]]
