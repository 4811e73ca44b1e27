"""Verdicts and messages of the checkers for all kinds of targets."""

from __future__ import annotations

import datetime as dt
import errno
import re
import socket
import subprocess
import sys
import threading
import time

import icmplib
import pytest

from occopus_core.api import PermanentError, Probe, Verdict
from occopus_health_network import Ping, Ports, Urls, http, icmp, looks

TIMEOUT = 0.3
"""The time limit for a check of a silent target."""
GENEROUS = 60.0
"""The time limit for a check of a target that answers, on a busy machine."""


def verdict(checker, value, address="127.0.0.1", timeout=GENEROUS):
    (answer,) = checker.check([Probe("node", address, value, timeout)])
    return answer


def reason(checker, value, address="127.0.0.1", timeout=GENEROUS):
    answer = verdict(checker, value, address, timeout)
    assert not answer.healthy
    return answer.reason


def loopback(number):
    return f"127.9.{number // 250}.{number % 250 + 1}"


@pytest.fixture
def no_answers(monkeypatch):
    """Lose every echo request; returns a function with the number of requests."""
    sent = []
    monkeypatch.setattr(icmplib.ICMPv4Socket, "send", lambda self, request: sent.append(request.destination))
    return sent


@pytest.fixture
def answers(monkeypatch):
    """Replace every received packet by this one."""
    send, receive, asked = icmplib.ICMPv4Socket.send, icmplib.ICMPv4Socket.receive, []

    def remember(self, request):
        asked.append(request)
        send(self, request)

    def answer(source, kind, code=0, other_process=0):
        def forge(self, request=None, timeout=2):
            receive(self, request, timeout)
            id = asked[-1].id ^ other_process
            return icmplib.ICMPReply(source, 4, id, asked[-1].sequence, kind, code, 56, 0.0)

        monkeypatch.setattr(icmplib.ICMPv4Socket, "send", remember)
        monkeypatch.setattr(icmplib.ICMPv4Socket, "receive", forge)

    return answer


class TestPing:
    def test_a_host_that_answers(self):
        assert verdict(Ping(), True, "127.0.0.9") == Verdict(True)

    def test_a_host_name(self):
        assert verdict(Ping(), True, "localhost").healthy

    def test_a_thousand_hosts(self):
        verdicts = Ping().check([Probe(str(n), loopback(n), True, 600.0) for n in range(1000)])
        assert [answer.reason for answer in verdicts if not answer.healthy] == []
        assert len(verdicts) == 1000

    def test_a_silent_host(self, no_answers):
        assert reason(Ping(), True, "127.0.0.9", timeout=2.0) == (
            "127.0.0.9 does not answer pings (3 lost of 3 within 2 s): if the provider drops ICMP, set ping: false"
        )
        assert no_answers == ["127.0.0.9"] * 3

    def test_one_lost_packet_is_tolerated(self, monkeypatch):
        send, lost = icmplib.ICMPv4Socket.send, []

        def lose_the_first(self, request):
            send(self, request) if lost else lost.append(request)

        monkeypatch.setattr(icmplib.ICMPv4Socket, "send", lose_the_first)
        assert verdict(Ping(), True).healthy
        assert lost

    def test_an_answer_from_another_host_does_not_count(self, answers):
        answers("127.0.0.8", 0)
        assert "does not answer pings" in reason(Ping(), True, "127.0.0.9", timeout=TIMEOUT)

    def test_an_answer_to_another_process_does_not_count(self, answers):
        answers("127.0.0.9", 0, other_process=1)
        assert "does not answer pings" in reason(Ping(), True, "127.0.0.9", timeout=TIMEOUT)

    def test_a_router_reports_no_route(self, answers):
        answers("127.0.0.254", 3, 1)
        said = "127.0.0.254 answered for 127.0.0.9: Destination host unreachable"
        assert reason(Ping(), True, "127.0.0.9") == said

    def test_the_system_refuses_to_send(self):
        assert reason(Ping(), True, "127.255.255.255") == "127.255.255.255 could not be pinged: Permission denied"

    def test_without_raw_sockets_datagram_sockets_are_used(self, monkeypatch):
        opened = []

        class Unprivileged(icmplib.ICMPv4Socket):
            def __init__(self, address=None, privileged=True):
                super().__init__(address, privileged=True)
                opened.append(privileged)
                if privileged:
                    raise icmplib.SocketPermissionError(privileged)

        monkeypatch.setattr("occopus_health_network.icmp.ICMPv4Socket", Unprivileged)
        assert verdict(Ping(), True).healthy
        assert opened == [True, False]

    def test_without_any_permission_the_message_says_what_to_do(self, monkeypatch):
        def refused(privileged):
            raise icmplib.SocketPermissionError(privileged)

        monkeypatch.setattr("occopus_health_network.icmp.ICMPv4Socket", refused)
        said = reason(Ping(), True)
        assert "CAP_NET_RAW" in said
        assert "net.ipv4.ping_group_range" in said
        assert "ping: false" in said

    def test_false_sends_no_ping(self, no_answers):
        assert verdict(Ping(), False, "127.0.0.9") == Verdict(True)
        assert verdict(Ping(), False, "") == Verdict(True)
        assert no_answers == []

    def test_no_address_yet(self):
        assert reason(Ping(), True, "") == "no address yet"


class TestPorts:
    def test_open_and_closed_ports(self, listening, refusing, silent):
        well = listening()
        assert verdict(Ports(), [well]) == Verdict(True)
        assert reason(Ports(), [refusing]) == f"port {refusing} refused on 127.0.0.1"
        assert reason(Ports(), [silent], timeout=TIMEOUT) == f"port {silent} did not answer on 127.0.0.1 within 0.3 s"

    def test_every_failing_port_is_named(self, listening, refusing, silent):
        said = reason(Ports(), [listening(), refusing, silent], timeout=2.0)
        assert said == f"port {refusing} refused on 127.0.0.1; port {silent} did not answer on 127.0.0.1 within 2 s"

    def test_a_thousand_open_ports(self, listening):
        port = listening(loopback(0))
        for number in range(1, 1000):
            listening(loopback(number), port)
        verdicts = Ports().check([Probe(str(n), loopback(n), [port], 600.0) for n in range(1000)])
        assert len(verdicts) == 1000
        assert {*verdicts} == {Verdict(True)}

    def test_a_thousand_silent_ports_take_one_timeout(self, silent):
        started = time.monotonic()
        verdicts = Ports().check([Probe(str(n), "127.0.0.1", [silent], 1.0) for n in range(1000)])
        assert 1.0 <= time.monotonic() - started < 60.0  # and not 1,000 s
        assert not any(answer.healthy for answer in verdicts)

    def test_more_looks_than_sockets_share_the_time(self, silent, monkeypatch):
        monkeypatch.setattr(looks, "AT_ONCE", 10)
        started = time.monotonic()
        verdicts = Ports().check([Probe(str(n), "127.0.0.1", [silent], 1.0) for n in range(40)])
        assert time.monotonic() - started >= 1.0
        assert {answer.reason for answer in verdicts} == {f"port {silent} did not answer on 127.0.0.1 within 0.25 s"}

    def test_a_small_process_keeps_most_of_its_files(self, monkeypatch):
        monkeypatch.setattr("resource.getrlimit", lambda kind: (1024, 4096))
        assert looks.socket_limit() == 256

    def test_an_unknown_host_name(self, monkeypatch):
        def unknown(*args, **options):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr("socket.getaddrinfo", unknown)
        assert reason(Ports(), [22], "nowhere.invalid") == "port 22 on nowhere.invalid: could not be resolved"

    def test_a_hanging_name_server_delays_nothing(self, monkeypatch, listening):
        answered, lookup = threading.Event(), socket.getaddrinfo

        def hang(host, *args, **options):
            answered.wait()
            return lookup("127.0.0.1", *args, **options)

        monkeypatch.setattr("socket.getaddrinfo", hang)
        verdicts = Ports().check(
            [Probe("a", "slow.invalid", [22], TIMEOUT), Probe("b", "127.0.0.1", [listening()], GENEROUS)]
        )
        answered.set()  # a thread that waits for it would wait forever
        assert [answer.healthy for answer in verdicts] == [False, True]

    def test_no_route_to_the_host(self, monkeypatch):
        def unreachable(self, address):
            raise OSError(errno.EHOSTUNREACH, "No route to host")

        monkeypatch.setattr("socket.socket.connect", unreachable)
        assert reason(Ports(), [22]) == "port 22 on 127.0.0.1: No route to host"

    def test_an_empty_list_is_healthy_without_an_address(self):
        assert verdict(Ports(), [], "") == Verdict(True)
        assert reason(Ports(), [22], "") == "no address yet"


class TestUrls:
    @pytest.mark.parametrize("page", ["/200", "/204", "/304", "/moved"])
    def test_healthy(self, web, page):
        assert verdict(Urls(), [web + page]) == Verdict(True)

    @pytest.mark.parametrize(
        ("page", "said"),
        [
            ("/503?token=hidden", "/503 answered 503 Service Unavailable"),
            ("/404#hidden", "/404 answered 404 Not Found"),
            ("/599", "/599 answered 599"),
            ("/moved-to-error", "/503 answered 503 Service Unavailable"),
            ("/moved-forever", "/moved-forever: redirects without end"),
            ("/moved-to-ftp", "/moved-to-ftp: leads to something that is neither http nor https"),
            ("/moved-to-nonsense", "/moved-to-nonsense: leads to a URL that is not valid"),
            ("/hang-up", "/hang-up: what answers does not speak HTTP, or hung up"),
            ("/nonsense", "/nonsense: what answers does not speak HTTP, or hung up"),
        ],
    )
    def test_unhealthy(self, web, page, said):
        assert reason(Urls(), [web + page]) == web + said

    def test_user_and_password_are_sent_but_never_shown(self, web):
        host = web.removeprefix("http://")
        assert verdict(Urls(), [f"http://user:hidden@{host}/secured"]).healthy
        said = reason(Urls(), [f"http://user:wrong@{host}/secured"])
        assert said == f"{web}/secured answered 401 Unauthorized"

    def test_failing_connections(self, refusing, silent, listening):
        deaf = listening()
        assert reason(Urls(), [f"http://127.0.0.1:{refusing}/"]) == (
            f"http://127.0.0.1:{refusing}/: the connection was refused"
        )
        for port in (silent, deaf):
            assert reason(Urls(), [f"http://127.0.0.1:{port}/"], timeout=TIMEOUT) == (
                f"http://127.0.0.1:{port}/ did not answer within 0.3 s"
            )

    def test_an_unknown_host_name(self):
        host = "x" * 64
        assert reason(Urls(), [f"http://{host}/"]) == f"http://{host}/: could not be resolved"

    @pytest.mark.parametrize(
        "url", ["ftp://user:hidden@host/", "hidden", "http://", "http://user:hid@den:x@host:y/", "http://[::1/", "a\n"]
    )
    def test_an_invalid_url(self, url):
        assert reason(Urls(), [url]) == "one of the URLs is not an http or https URL"

    def test_a_certificate_of_an_untrusted_authority(self, secure_web):
        url = secure_web("127.0.0.1") + "/200"
        assert re.fullmatch(re.escape(url) + ": .*(local issuer|self-signed).*", reason(Urls(), [url]))

    def test_certificates_of_a_trusted_authority(self, secure_web, authority, monkeypatch, tmp_path, request):
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        request.addfinalizer(http._trusted.cache_clear)
        http._trusted.cache_clear()
        assert verdict(Urls(), [secure_web("127.0.0.1") + "/200"]) == Verdict(True)

        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        url = secure_web("127.0.0.1", not_after=yesterday) + "/200"
        assert reason(Urls(), [url]) == f"{url}: certificate has expired"

        url = secure_web("127.0.0.2") + "/200"
        assert "IP address mismatch" in reason(Urls(), [url])

    def test_a_server_without_tls_at_an_https_url(self, web):
        url = web.replace("http:", "https:")
        assert reason(Urls(), [f"{url}/200"]).startswith(f"{url}/200: no TLS (")

    def test_a_proxy_of_the_environment_is_not_used(self, web, refusing, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{refusing}")
        assert verdict(Urls(), [f"{web}/200"]).healthy

    def test_a_thousand_silent_servers_take_about_one_timeout(self, listening):
        url = f"http://127.0.0.1:{listening()}/"
        started = time.monotonic()
        verdicts = Urls().check([Probe(str(n), "127.0.0.1", [url], 2.0) for n in range(1000)])
        assert 2.0 <= time.monotonic() - started < 60.0  # and not 2,000 s
        assert {answer.reason for answer in verdicts} == {f"{url} did not answer within 2 s"}

    def test_no_address_yet(self):
        assert reason(Urls(), ["http:///health"], "") == "no address yet"


def test_the_schemas_need_no_libraries():
    code = (
        "import sys; from occopus_health_network import Ping, Ports, Urls\n"
        "for checker in Ping, Ports, Urls: checker.schema()\n"
        "print(sorted({'aiohttp', 'icmplib', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_thread_remains_after_a_check(listening):
    before = threading.active_count()
    verdict(Ports(), [listening()])
    verdict(Ping(), True)
    assert threading.active_count() == before


@pytest.fixture
def without_rights(monkeypatch, tmp_path):
    """No socket for pings; a fake ``ping`` program reaches only 127.0.0.1, unless a test removes it."""
    program = tmp_path / "ping"
    program.write_text('#!/bin/sh\nfor address; do :; done\n[ "$address" = 127.0.0.1 ]\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def refuse(*_args, **_options):
        raise icmp.SocketPermissionError(False)

    icmp._program_works.cache_clear()
    monkeypatch.setattr(icmp, "ICMPv4Socket", refuse)
    monkeypatch.setattr(icmp, "ICMPv6Socket", refuse)
    yield
    icmp._program_works.cache_clear()


def test_without_a_socket_the_program_pings(without_rights):
    Ping().check_host(True)
    assert Ping().check([Probe("a", "127.0.0.1", True, 20.0)])[0].healthy
    silent = Ping().check([Probe("a", "192.0.2.1", True, 20.0)])[0]
    assert not silent.healthy
    assert "does not answer pings" in silent.reason


def test_without_any_way_to_ping_it_is_refused_before_anything_is_made(without_rights, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PermanentError, match=r"CAP_NET_RAW.*ping_group_range.*ping: false"):
        Ping().check_host(True)
    Ping().check_host(False)
    assert "may not send pings" in Ping().check([Probe("a", "127.0.0.1", True, 1.0)])[0].reason


@pytest.mark.parametrize(
    "url",
    ["http://{{ip}}", "http://{{ ip }}:8080/health", "https://{{ip}}/?x={{ variables.x }}"],
)
def test_urls_of_the_node_itself_are_no_power(url):
    assert not Urls.powers([url])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://{{ip}}.example.org/",
        "http://{{ip}}@example.org/",
        "http://{{ip}}:80@example.org/",
        "http://{{ variables.host }}/",
        "{{ variables.url }}",
        "http://{{ getip('web') }}/",
    ],
)
def test_urls_of_other_machines_are_a_power(url):
    (power,) = Urls.powers([url])
    assert url in power
