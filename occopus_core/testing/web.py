"""An HTTP server on the loopback for tests of what calls one."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import Any

PAGE = b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><p>Nothing here<br></body></html>"
"""What answers in the place of an API; no XML."""

Answer = Callable[[str, Message, bytes], tuple[int, Mapping[str, str], bytes]]
"""From the path, the headers and the body of a request to the status, headers and body of its answer."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True  # a test may leave one waiting

    def handle_error(self, *_: Any) -> None:
        """Who does not wait for the answer, or does not like the certificate, hangs up."""


@contextlib.contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server for the time of a block; its URL. `answer` is called for each GET and POST, in a thread of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, headers, said = answer(self.path, self.headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(said)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST  # noqa: N815 - as the library calls them

        def log_message(self, *_: Any) -> None:
            return

    with _Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
