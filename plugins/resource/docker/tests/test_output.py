"""The output of containers: pieces of lines, with the answers of Podman and Docker."""

from __future__ import annotations

import struct
import time

import pytest

from occopus_core.api import InstanceState
from occopus_resource_docker import output
from occopus_resource_docker.output import frames, joined

OUT, ERR = 1, 2
PIECES = 'echo starting; printf "cannot "; sleep 0.2; printf "open "; sleep 0.2; echo config.ini; exit 3'
LONG = "printf %040003d 0; echo; echo after"


def answer(*pieces):
    return b"".join(struct.pack(">BxxxL", stream, len(text)) + text for stream, text in pieces)


def shown(*pieces):
    return joined(frames([answer(*pieces)]))


def stopped(handler):
    """Wait until the container has ended."""
    deadline = time.monotonic() + 600.0
    while handler.describe(["t-1"])["t-1"].state is not InstanceState.STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_pieces_of_a_line_are_joined():
    podman = [(OUT, b"starting\n"), (OUT, b"cannot "), (OUT, b"open "), (OUT, b"config.ini\n")]
    docker = [(OUT, b"starting\n"), (OUT, b"cannot open config.ini\n")]
    assert shown(*podman) == shown(*docker) == "starting\ncannot open config.ini\n"


def test_a_line_whose_last_piece_is_only_its_end_is_complete():
    assert shown((OUT, b"app on"), (OUT, b" "), (OUT, b"80"), (OUT, b"\n")) == "app on 80\n"


def test_the_pieces_of_two_streams_are_not_mixed():
    pieces = [(OUT, b"out1"), (ERR, b"err1"), (OUT, b"out2\n"), (OUT, b"end"), (ERR, b"err2\n")]
    assert shown(*pieces) == "out1out2\nerr1err2\nend\n"


def test_long_lines_are_joined_and_only_the_last_256_kib_are_kept():
    piece = b"x" * 16384
    assert shown((OUT, piece), (ERR, b"between\n"), (OUT, piece), (OUT, b"x\n")) == f"between\n{'x' * 32769}\n"
    assert shown((OUT, b"first\n"), *[(OUT, piece)] * 20, (OUT, b"\n")) == "x" * (256 * 1024 - 1) + "\n"


def test_frames_may_arrive_in_any_chunks():
    pieces = [(OUT, b"one\n"), (ERR, b""), (ERR, b"tw"), (ERR, b"o\n")]
    whole = answer(*pieces)
    assert list(frames(whole[at : at + 1] for at in range(len(whole)))) == pieces


@pytest.mark.parametrize("garbled", [answer((OUT, b"one\n"))[:-1], b"<html></html>", b"\x01\x00"])
def test_anything_else_is_no_answer_of_an_engine(garbled):
    with pytest.raises(TypeError):
        list(frames([garbled]))


@pytest.mark.integration
def test_of_a_log_that_takes_too_long_the_engine_selects_the_last_lines(stage, order, monkeypatch):
    monkeypatch.setattr(output, "_WHOLE_SECONDS", -1.0)
    handler = stage.handler()
    handler.create(order(command=["sh", "-c", "echo one; echo two"]))
    stopped(handler)
    assert handler.logs(["t-1"], 1) == {"t-1": "two"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("prints", "lines", "expected"),
    [
        (PIECES, 50, "starting\ncannot open config.ini"),
        (PIECES, 1, "cannot open config.ini"),
        ('for each in app " on " 80 "\n"; do printf "$each"; sleep 0.1; done', 50, "app on 80"),
        (LONG, 50, f"{'0' * 40003}\nafter"),
        (LONG, 2, f"{'0' * 40003}\nafter"),
        ("printf out1; sleep 0.1; echo err >&2; sleep 0.1; echo out2", 50, "err\nout1out2"),
    ],
)
def test_an_engine_returns_complete_lines(stage, order, prints, lines, expected):
    handler = stage.handler()
    handler.create(order(command=["sh", "-c", prints]))
    stopped(handler)
    assert handler.logs(["t-1"], lines) == {"t-1": expected}
