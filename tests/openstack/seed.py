"""Fills a new OpenStack: ``identity`` makes users and the catalog, ``resources`` an image, flavors and networks."""

import json
import os
import sys

import openstack

PORTS = json.loads(os.environ["LOOP_PORTS"])
PUBLIC = json.loads(os.environ["LOOP_PUBLIC"])
CATALOG = (
    ("placement", "placement", ""),
    ("glance", "image", ""),
    ("neutron", "network", ""),
    ("nova", "compute", "/v2.1"),
    ("cinder", "block-storage", "/v3"),
)
# Users and projects of theirs: each test may spend the quota of its own.
USERS = ("demo", "narrow")


def identity(cloud):
    service = cloud.identity.create_project(name="service", domain_id="default")
    roles = {role.name: role for role in cloud.identity.roles()}
    for name in ("placement", "glance", "neutron", "nova", "cinder"):
        user = cloud.identity.create_user(name=name, password=f"{name}pw", domain_id="default")
        for role in ("admin", "service"):
            cloud.identity.assign_project_role_to_user(service, user, roles[role])
    for name in USERS:
        project = cloud.identity.create_project(name=name, domain_id="default")
        user = cloud.identity.create_user(name=name, password=f"{name}pw", domain_id="default")
        cloud.identity.assign_project_role_to_user(project, user, roles["member"])
    for name, kind, path in CATALOG:
        service = cloud.identity.create_service(name=name, type=kind)
        for interface, ports in (("public", PUBLIC), ("internal", PORTS), ("admin", PORTS)):
            url = f"http://127.0.0.1:{ports[name]}{path}"
            cloud.identity.create_endpoint(service_id=service.id, interface=interface, region_id="RegionOne", url=url)


def resources(cloud):
    cloud.compute.create_flavor(name="m1.tiny", ram=512, vcpus=1, disk=1)
    cloud.compute.create_flavor(name="m1.small", ram=1024, vcpus=1, disk=2)
    cloud.compute.create_flavor(name="m1.huge", ram=512, vcpus=1, disk=900000)  # no host takes it
    image = {"disk_format": "raw", "container_format": "bare", "visibility": "public", "validate_checksum": False}
    cloud.image.create_image(name="cirros", data=b"\0" * 1024, **image)
    outside = cloud.network.create_network(
        name="public", is_router_external=True, provider_network_type="flat", provider_physical_network="ext"
    )
    cloud.network.create_subnet(
        name="public-subnet", network_id=outside.id, ip_version=4, cidr="203.0.113.0/24", enable_dhcp=False
    )
    for number, name in enumerate(USERS):
        project = cloud.identity.find_project(name).id
        network = cloud.network.create_network(name="private", project_id=project)
        subnet = cloud.network.create_subnet(
            name="private-subnet", network_id=network.id, ip_version=4, cidr=f"10.2{number}.0.0/16", project_id=project
        )
        router = cloud.network.create_router(
            name="router", project_id=project, external_gateway_info={"network_id": outside.id}
        )
        cloud.network.add_interface_to_router(router, subnet_id=subnet.id)
    cloud.compute.update_quota_set(cloud.identity.find_project("narrow").id, instances=1)


def main():
    account = {"username": "admin", "password": "adminpw", "project_name": "admin"}
    domain = {"user_domain_id": "default", "project_domain_id": "default"}
    url = f"http://127.0.0.1:{PORTS['keystone']}/v3"
    cloud = openstack.connect(
        auth={"auth_url": url, **account, **domain},
        region_name="RegionOne",
        identity_api_version="3",
        interface="internal",
    )
    {"identity": identity, "resources": resources}[sys.argv[1]](cloud)


main()
