"""nova-api + conductor + scheduler + compute in ONE process over oslo.messaging fake://."""

# ruff: noqa: E402, F401, I001  # what is imported first changes what is imported later
import os
import sys

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
port = int(sys.argv[1])
sys.argv = ["nova-all"]

from nova import monkey_patch

monkey_patch.patch(backend="threading")
import os_vif
import waitress
from loopstack import sqlite_immediate
from oslo_log import log as logging

from nova.wsgi import osapi_compute  # parses nova.conf, builds the app
import nova.conf
from nova import context, objects, service
from nova.compute import rpcapi as compute_rpcapi
from nova.conductor import rpcapi as conductor_rpcapi
from nova.scheduler import rpcapi as scheduler_rpcapi

CONF = nova.conf.CONF
LOG = logging.getLogger("nova.loopstack")
os_vif.initialize()

# FakeDriver.snapshot uploads nothing and the image would stay "queued" for ever
import io
from nova.image import glance as nova_glance
from nova.virt import fake as fake_virt

_snapshot = fake_virt.FakeDriver.snapshot


def snapshot(self, context, instance, image_id, update_task_state):
    _snapshot(self, context, instance, image_id, update_task_state)
    nova_glance.API().update(
        context,
        image_id,
        {"disk_format": "raw", "container_format": "bare"},
        data=io.BytesIO(b"\0" * 512),
        purge_props=False,
    )


fake_virt.FakeDriver.snapshot = snapshot

running = []
for binary, topic, alt in (
    ("nova-conductor", conductor_rpcapi.RPC_TOPIC, None),
    ("nova-scheduler", scheduler_rpcapi.RPC_TOPIC, None),
    ("nova-compute", compute_rpcapi.RPC_TOPIC, getattr(compute_rpcapi, "RPC_TOPIC_ALT", None)),
):
    kw = {"topic_alt": alt} if alt else {}
    svc = service.Service.create(binary=binary, topic=topic, **kw)
    svc.start()
    running.append(svc)
    LOG.info("loopstack: %s started", binary)

# what "nova-manage cell_v2 discover_hosts" does
from nova.objects import host_mapping

host_mapping.discover_hosts(context.get_admin_context())
LOG.info("loopstack: hosts mapped; serving")
waitress.serve(
    osapi_compute.application, host="127.0.0.1", port=port, threads=8, clear_untrusted_proxy_headers=True, ident=None
)
