"""cinder-api + scheduler + volume in ONE process over oslo.messaging fake://."""

# ruff: noqa: E402, F401, I001  # what is imported first changes what is imported later
import sys

import eventlet
import eventlet.tpool

eventlet.monkey_patch()
import __original_module_threading as orig_threading
import threading

orig_threading.current_thread.__globals__["_active"] = threading._active

port = int(sys.argv[1])
conf = sys.argv[2]
sys.argv = ["cinder-all", "--config-file", conf]

from loopstack import sqlite_immediate
import os_brick
from oslo_config import cfg
from oslo_log import log as logging
from cinder.common import config
from cinder.common import constants
from cinder import service
from cinder.wsgi import wsgi  # parses the config
from cinder.cmd import volume as _v  # registers backend_host and others

CONF = cfg.CONF
app = wsgi.initialize_application()
os_brick.setup(CONF)
LOG = logging.getLogger("cinder.loopstack")

sched = service.Service.create(binary="cinder-scheduler")
sched.start()
running = [sched]
for backend in CONF.enabled_backends:
    CONF.register_opt(_v.host_opt, group=backend)
    svc = service.Service.create(
        host=f"{CONF.host}@{backend}", service_name=backend, binary=constants.VOLUME_BINARY, coordination=True
    )
    svc.start()
    running.append(svc)
LOG.info("loopstack: cinder serving")
import eventlet.wsgi

eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), app, log=logging.getLogger("cinder.wsgi"), keepalive=True)
