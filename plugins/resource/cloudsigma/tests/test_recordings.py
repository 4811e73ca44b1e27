"""The comparison with recorded exchanges finds differences. The exchanges here are invented."""

from __future__ import annotations

import json

import pytest

from occopus_resource_cloudsigma.testing import recordings

DRIVE = "11111111-2222-4333-8444-555555555555"
PATH = f"/api/2.0/drives/{DRIVE}/"
REFERENCE = {"uuid": "x", "resource_uri": "x"}
ANSWER = {
    **{key: [] for key in ("affinities", "grantees", "jobs", "licenses", "mounted_on", "permissions")},
    **{key: [] for key in ("snapshots", "tags")},
    **dict.fromkeys(("media", "name", "resource_uri", "status", "storage_type", "uuid"), "text"),
    "allow_multimount": False,
    "meta": {},
    "owner": REFERENCE,
    "runtime": {"is_snapshotable": True, "snapshots_allocated_size": 0, "storage_type": "dssd"},
    "size": 1,
}


def exchange(status="HTTP/1.1 200 OK", path=PATH, method="GET", request=None, **response):
    answer = {key: value for key, value in {**ANSWER, **response}.items() if value is not None}
    return {"name": "x", "method": method, "path": path, "request": request, "status": status, "response": answer}


def run(monkeypatch, capsys, tmp_path, *recorded):
    (tmp_path / "docs_exchanges.jsonl").write_text("\n".join(map(json.dumps, recorded)))
    monkeypatch.setattr("sys.argv", ["recordings", str(tmp_path)])
    return recordings.main(), capsys.readouterr().out.splitlines()


def test_the_same_answer(monkeypatch, capsys, tmp_path):
    foreign = exchange(path="/api/2.0/vlans/x/")
    code, said = run(monkeypatch, capsys, tmp_path, exchange(), foreign)
    assert (code, said) == (0, ["1 recorded exchanges, 1 answered in the same way"])


DIFFERENCES = {
    "status": (exchange("HTTP/1.1 404 NOT FOUND"), "HTTP 200, recorded is 404"),
    "type": (exchange(size="1"), "size is int, recorded is str"),
    "field of ours": (exchange(snapshots=None), "snapshots is in no recorded answer"),
    "field of theirs": (exchange(iops=1), "iops is missing"),
    "inner field": (exchange(owner={"uuid": "x"}), "owner.resource_uri is in no recorded answer"),
}


@pytest.mark.parametrize(("recorded", "words"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_an_answer_that_differs(recorded, words, monkeypatch, capsys, tmp_path):
    code, said = run(monkeypatch, capsys, tmp_path, recorded)
    assert code == 1
    assert words in said[0]
    assert said[-1] == "1 recorded exchanges, 0 answered in the same way"


def test_an_empty_folder_is_no_success(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, capsys, tmp_path, exchange(path="/api/2.0/vlans/x/"))[0] == 1
