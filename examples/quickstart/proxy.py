"""A reverse proxy in a page of Python: asks the backends in turn and skips those that do not answer.

Usage: python3 proxy.py ADDRESS PORT GROUP FILE, where FILE names the first backends, one a line, as host:port.
Backends of the group announce themselves (heartbeat.py): new ones are used from their first message on, and one
that is silent for SECONDS_OF_SILENCE is used no more.
"""

import http.client
import itertools
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECONDS_TO_ANSWER = 5.0
SECONDS_OF_SILENCE = 15.0
HEARTBEATS = ("127.255.255.255", 8079)


class Backends:
    """The backends that were heard of lately."""

    def __init__(self, group: str, first: list[str]) -> None:
        self.group = group
        self.heard = dict.fromkeys(first, time.monotonic())

    def listen(self) -> None:
        """Take in what backends announce, for ever."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # other load balancers listen, too
            listener.bind(HEARTBEATS)
            while True:
                backend, _, group = listener.recv(4096).decode(errors="replace").partition(" ")
                if group == self.group:
                    self.heard[backend] = time.monotonic()

    def living(self) -> list[str]:
        """Those that are in use, in the order of their addresses."""
        oldest = time.monotonic() - SECONDS_OF_SILENCE
        return sorted(backend for backend, at in self.heard.copy().items() if at >= oldest)


class Proxy(BaseHTTPRequestHandler):
    """Answers each request with what the next living backend answers."""

    backends: Backends
    turn = itertools.count()

    def do_GET(self) -> None:
        """Ask every backend once, from the one whose turn it is, until one answers."""
        first = next(self.turn)
        backends = self.backends.living()
        for step in range(len(backends)):
            backend = backends[(first + step) % len(backends)]
            try:
                response, body = self.ask(backend)
            except (OSError, http.client.HTTPException) as error:
                self.log_error("%s does not answer: %s", backend, error)
            else:
                self.pass_on(response, body)
                return
        self.send_error(502, "No backend answers")

    do_HEAD = do_GET  # noqa: N815  # the name that the library looks for

    def ask(self, backend: str) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer of one backend, whole: half an answer is none."""
        connection = http.client.HTTPConnection(backend, timeout=SECONDS_TO_ANSWER)
        try:
            connection.request(self.command, self.path, headers={"Host": backend})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def pass_on(self, response: http.client.HTTPResponse, body: bytes) -> None:
        """Hand the answer to the client."""
        self.send_response(response.status)
        self.send_header("Content-Type", response.getheader("Content-Type", "text/html"))
        self.send_header("Content-Length", response.getheader("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    address, port, group, first = sys.argv[1:]
    Proxy.backends = Backends(group, Path(first).read_text().split())
    threading.Thread(target=Proxy.backends.listen, daemon=True).start()
    ThreadingHTTPServer((address, int(port)), Proxy).serve_forever()
