"""An HTTP server on the loopback, for tests of HTTP clients."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from typing import Any

PAGE = b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><p>Nothing here<br></body></html>"
"""A web page in place of an API's answer; not XML."""

Reply = tuple[int, Mapping[str, str], bytes]
"""The status, the headers and the body of an answer."""
Answer = Callable[[str, Message, bytes], Reply]
"""Returns the answer to the path, the headers and the body of a request."""
Responder = Callable[[str, str, Message, bytes], Reply]
"""The same, with the method as the first argument."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True  # a test may leave a request waiting

    def handle_error(self, *_: Any) -> None:
        """Ignore errors: clients may time out, or reject the certificate."""


@contextlib.contextmanager
def answering(
    answer: Answer | None = None, context: ssl.SSLContext | None = None, *, respond: Responder | None = None
) -> Iterator[str]:
    """A server for the duration of a block; yields its URL.

    `answer`, or `respond` if the method matters, is called in a separate thread for each request: GET, HEAD, POST, PUT,
    PATCH and DELETE. An answer to HEAD has no body, and its length as `Content-Length`.
    """
    if answer is not None:
        respond = _whatever_method(answer)
    if respond is None:
        raise TypeError("a server needs `answer` or `respond`")
    reply: Responder = respond

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, headers, said = reply(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(said)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - as the library calls them

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


def _whatever_method(answer: Answer) -> Responder:
    return lambda _method, path, headers, body: answer(path, headers, body)
