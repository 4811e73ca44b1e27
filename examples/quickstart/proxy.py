"""A reverse proxy in a page of Python: asks the backends in turn and skips those that do not answer.

Usage: python3 proxy.py ADDRESS PORT FILE, where FILE names one backend a line, as host:port.
"""

import http.client
import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECONDS_TO_ANSWER = 5.0


class Proxy(BaseHTTPRequestHandler):
    """Answers each request with what the next living backend answers."""

    backends: list[str]
    turn = itertools.count()

    def do_GET(self) -> None:
        """Ask every backend once, from the one whose turn it is, until one answers."""
        first = next(self.turn)
        for step in range(len(self.backends)):
            backend = self.backends[(first + step) % len(self.backends)]
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
        """Hand the answer to whoever asked."""
        self.send_response(response.status)
        self.send_header("Content-Type", response.getheader("Content-Type", "text/html"))
        self.send_header("Content-Length", response.getheader("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    address, port, backends = sys.argv[1:]
    Proxy.backends = Path(backends).read_text().split()
    ThreadingHTTPServer((address, int(port)), Proxy).serve_forever()
