"""The configuration of each service, all of them on one machine without a message broker."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("keystone", "placement", "glance", "neutron", "nova", "cinder")


@dataclass(frozen=True)
class Layout:
    """Where everything is: the folder of the state, the services' own environment, the port of each service."""

    state: Path
    venv: Path
    ports: Mapping[str, int]

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def database(self, service: str) -> str:
        return f"sqlite:///{self.state}/db/{service}.sqlite?timeout=60"


def write_configs(layout: Layout) -> None:
    for folder in (*SERVICES, "db", "log", "run", "cache", "glance/images", "glance/staging", "glance/tasks"):
        (layout.state / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(layout.venv / "etc/nova/api-paste.ini", layout.state / "nova/api-paste.ini")
    for file, text in _configs(layout).items():
        (layout.state / file).write_text(text)


def _log(layout: Layout, name: str) -> str:
    return f"log_file = {layout.state}/log/{name}.log\nuse_stderr = false\ndebug = false"


def _account(layout: Layout, user: str) -> str:
    return f"""auth_type = password
auth_url = {layout.url("keystone")}/v3
username = {user}
password = {user}pw
project_name = service
user_domain_id = default
project_domain_id = default
region_name = RegionOne"""


def _tail(layout: Layout, user: str) -> str:
    return f"""[keystone_authtoken]
www_authenticate_uri = {layout.url("keystone")}/v3
{_account(layout, user)}
service_token_roles_required = false
[oslo_concurrency]
lock_path = {layout.state}/run
"""


def _configs(layout: Layout) -> dict[str, str]:
    return {
        "keystone/keystone.conf": _keystone(layout),
        "placement/placement.conf": _placement(layout),
        "glance/glance-api.conf": _glance(layout),
        "neutron/neutron.conf": _neutron(layout),
        "nova/nova.conf": _nova(layout),
        "cinder/cinder.conf": _cinder(layout),
    }


def _keystone(layout: Layout) -> str:
    return f"""[DEFAULT]
{_log(layout, "keystone")}
public_endpoint = {layout.url("keystone")}
[database]
connection = {layout.database("keystone")}
sqlite_synchronous = false
[token]
provider = fernet
[fernet_tokens]
key_repository = {layout.state}/keystone/fernet-keys
[credential]
key_repository = {layout.state}/keystone/credential-keys
[identity]
password_hash_rounds = 4
[oslo_concurrency]
lock_path = {layout.state}/run
"""


def _placement(layout: Layout) -> str:
    return f"""[DEFAULT]
{_log(layout, "placement")}

[placement_database]
connection = {layout.database("placement")}
sqlite_synchronous = false
[api]
auth_strategy = keystone
{_tail(layout, "placement")}"""


def _glance(layout: Layout) -> str:
    return f"""[DEFAULT]
{_log(layout, "glance")}
enabled_backends = fs:file
enabled_import_methods = []
node_staging_uri = file://{layout.state}/glance/staging
[database]
connection = {layout.database("glance")}
sqlite_synchronous = false
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {layout.state}/glance/images
[os_glance_staging_store]
filesystem_store_datadir = {layout.state}/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = {layout.state}/glance/tasks
[paste_deploy]
flavor = keystone
config_file = {layout.venv}/etc/glance/glance-api-paste.ini
{_tail(layout, "glance")}"""


def _neutron(layout: Layout) -> str:
    return f"""[DEFAULT]
{_log(layout, "neutron")}
state_path = {layout.state}/neutron
transport_url = fake://
core_plugin = ml2
service_plugins = router
auth_strategy = keystone
api_paste_config = {layout.venv}/etc/neutron/api-paste.ini
dhcp_agent_notification = false
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
rpc_response_timeout = 5
[database]
connection = {layout.database("neutron")}
sqlite_synchronous = false
[ml2]
type_drivers = local,flat,vlan
tenant_network_types = local
mechanism_drivers = loopback_bind
extension_drivers = port_security
[ml2_type_flat]
flat_networks = *
[securitygroup]
enable_security_group = true
[nova]
endpoint_type = internal
{_account(layout, "nova")}
[placement]
{_account(layout, "placement")}
{_tail(layout, "neutron")}"""


def _nova(layout: Layout) -> str:
    return f"""[DEFAULT]
{_log(layout, "nova")}
state_path = {layout.state}/nova
transport_url = fake://
host = compute1
my_ip = 127.0.0.1
compute_driver = fake.FakeDriverWithoutFakeNodes
instance_usage_audit = false
vif_plugging_timeout = 0
vif_plugging_is_fatal = false
force_config_drive = false
flat_injected = false
sync_power_state_interval = -1
allow_resize_to_same_host = true
[api_database]
connection = {layout.database("nova_api")}
sqlite_synchronous = false
[database]
connection = {layout.database("nova")}
sqlite_synchronous = false
[api]
auth_strategy = keystone
[conductor]
workers = 1
[scheduler]
workers = 1
[quota]
instances = -1
cores = -1
ram = -1
[filter_scheduler]
track_instance_changes = false
[glance]
api_servers = {layout.url("glance")}
[neutron]
{_account(layout, "neutron")}
[placement]
{_account(layout, "placement")}
[service_user]
send_service_user_token = true
{_account(layout, "nova")}
[cinder]
catalog_info = block-storage::internalURL
{_account(layout, "nova")}
[key_manager]
backend = nova.keymgr.conf_key_mgr.ConfKeyManager
fixed_key = {secrets.token_hex(32)}
{_tail(layout, "nova")}"""


def _cinder(layout: Layout) -> str:
    return f"""[DEFAULT]
{_log(layout, "cinder")}
state_path = {layout.state}/cinder
transport_url = fake://
host = vol1
my_ip = 127.0.0.1
auth_strategy = keystone
api_paste_config = {layout.venv}/etc/cinder/api-paste.ini
resource_query_filters_file = {layout.venv}/etc/cinder/resource_filters.json
enabled_backends = null
scheduler_driver_init_wait_time = 1
default_volume_type = __DEFAULT__
glance_api_servers = {layout.url("glance")}
[null]
volume_driver = loopstack.cinder_driver.NullVolumeDriver
volume_backend_name = null
[database]
connection = {layout.database("cinder")}
sqlite_synchronous = false
[coordination]
backend_url = file://{layout.state}/run/coord
[key_manager]
backend = cinder.keymgr.conf_key_mgr.ConfKeyManager
fixed_key = {secrets.token_hex(32)}
[nova]
interface = internal
{_account(layout, "nova")}
[service_user]
send_service_user_token = false
{_account(layout, "cinder")}
{_tail(layout, "cinder")}"""
