"""python -m loopstack.wsgi_serve MODULE PORT [URLPREFIX]: WSGI app, threaded, on loopback."""

import importlib
import sys

import waitress

from loopstack import sqlite_immediate  # noqa

module, port = sys.argv[1], int(sys.argv[2])
prefix = sys.argv[3] if len(sys.argv) > 3 else ""
sys.argv = [module]  # the services parse sys.argv
app = importlib.import_module(module).application
waitress.serve(
    app, host="127.0.0.1", port=port, threads=8, url_prefix=prefix, clear_untrusted_proxy_headers=True, ident=None
)
