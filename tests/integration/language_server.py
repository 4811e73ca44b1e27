"""yaml-language-server over stdio, as editors start it: diagnostics, hovers and completions."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from occopus_core.testing.web import answering

NPM = Path(__file__).parents[2] / ".venv" / "npm"
PROGRAM = NPM / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
TAGS = ("!yaml_import mapping", "!text_import mapping")
"""As docs/editors.md has them."""
FORMER_TAGS = (
    "!python_import sequence",
    "!ResourceHandler mapping",
    "!ConfigManager mapping",
    "!UDS mapping",
    "!InfoRouter mapping",
    "!DynamicStateProvider mapping",
    "!ResourceHandlerProvider mapping",
    "!ConfigManagerProvider mapping",
    "!SynchronizationProvider scalar",
    "!EventLog mapping",
)
"""Those of configuration files of 1.x, too."""
LONGEST = 600.0
"""Seconds after which the server counts as stuck."""


def node() -> str:
    """The program `node`, with the packages of contrib/npm/package.json; the test is skipped where there are none."""
    program = shutil.which("node")
    if program is None or not PROGRAM.is_file():
        pytest.skip("yaml-language-server is not installed: apt-get install nodejs npm, then contrib/real-parts")
    return program


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder of schemas on the loopback, with the catalogue as a service has it; the URL of that."""
    urls = []

    def answer(path, _headers, _body):
        file = folder / path.lstrip("/")
        if not file.is_file():
            return 404, {}, b""
        text = file.read_text()
        if file.name == "catalog.json":
            whole = json.loads(text)
            for schema in whole["schemas"]:
                schema["url"] = f"{urls[0]}/{schema['url'].rpartition('/')[2]}"
            text = json.dumps(whole)
        return 200, {"Content-Type": "application/json"}, text.encode()

    with answering(answer) as url:
        urls.append(url)
        yield f"{url}/catalog.json"


class LanguageServer:
    """``with LanguageServer(catalog) as server``: knows the schemas of one catalogue, by its URL."""

    def __init__(self, catalog: str) -> None:
        yaml = {"schemaStore": {"enable": True, "url": catalog}, "customTags": [*TAGS, *FORMER_TAGS], "validate": True}
        self._settings: Mapping[str, object] = {"yaml": {**yaml, "hover": True, "completion": True}}
        self._stack = contextlib.ExitStack()
        self._answers: dict[int, queue.Queue] = {}
        self._marked: dict[str, queue.Queue] = {}
        self._lock = threading.Lock()
        self._ids = 0

    def __enter__(self):
        command = [node(), str(PROGRAM), "--stdio"]
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=kept)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            capabilities = {"workspace": {"configuration": True}, "textDocument": {"hover": {}, "completion": {}}}
            self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
            self._send({"method": "initialized", "params": {}})
            self._await_catalog()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def marks(self, path: str, text: str) -> list[tuple[int, str]]:
        """The diagnostics of a file with this name: the line, from 1, and the message."""
        uri = Path(path).absolute().as_uri()
        with self._lock:
            found = self._marked[uri] = queue.Queue()
        opened = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": opened}})
        marks = found.get(timeout=LONGEST)
        return [(one["range"]["start"]["line"] + 1, one["message"]) for one in marks]

    def at(self, method: str, path: str, line: int, column: int):
        """The answer to ``hover`` or ``completion`` at a place, from 1, in a file that `marks` has opened."""
        place = {"line": line - 1, "character": column - 1}
        document = {"uri": Path(path).absolute().as_uri()}
        return self.ask(f"textDocument/{method}", {"textDocument": document, "position": place})

    def ask(self, method: str, params: object):
        """The result of a request."""
        with self._lock:
            self._ids += 1
            number, answer = self._ids, queue.Queue()
            self._answers[number] = answer
        self._send({"id": number, "method": method, "params": params})
        return answer.get(timeout=LONGEST)

    def _await_catalog(self) -> None:
        """Until it has fetched the catalogue: an empty description lacks its keys."""
        ends = time.monotonic() + LONGEST
        number = 0
        while time.monotonic() < ends:
            number += 1
            if self.marks(f"/await/{number}/infra.yaml", "user_id: me\n"):
                return
        raise AssertionError("it never marks a description that lacks every key")

    def _send(self, message: dict) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with self._lock:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self._process.stdin.flush()

    def _listen(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while length := self._length():
                self._take(json.loads(self._process.stdout.read(length)))

    def _length(self) -> int:
        length = 0
        while (line := self._process.stdout.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return length

    def _take(self, message: dict) -> None:
        method = message.get("method")
        if method == "workspace/configuration":
            items = message["params"]["items"]
            values = [self._settings.get(item.get("section"), {}) for item in items]
            self._send({"id": message["id"], "result": values})
        elif method == "textDocument/publishDiagnostics":
            with self._lock:
                found = self._marked.get(message["params"]["uri"])
            if found is not None:
                found.put(message["params"]["diagnostics"])
        elif method is None:
            with self._lock:
                answer = self._answers.pop(message["id"])
            answer.put(message.get("result"))
        elif "id" in message:
            self._send({"id": message["id"], "result": None})
