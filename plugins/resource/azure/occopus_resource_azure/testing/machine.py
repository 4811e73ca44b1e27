"""Bodies of virtual machines: checks, defaults, and the capacity of the region."""

from __future__ import annotations

import base64
import binascii
import copy
import re
from typing import Any

from occopus_resource_azure.testing.account import Account, Resource
from occopus_resource_azure.testing.wire import Json, Path, RefusedError

CUSTOM_DATA_BYTES = 65535
_PASSWORD = (6, 123, 3)
"""The fewest and the most characters of a password, and the fewest character classes."""
_SIZE = re.compile(r"(Standard|Basic)_([A-Z]+)(\d+)(-\d+)?[a-z]*(_[A-Za-z0-9_]+)?")
_COMPUTER = re.compile(r"(?!-)[A-Za-z0-9-]{1,64}(?<!-)")
_FORBIDDEN_USERS = ("admin", "administrator", "root", "test", "user", "guest", "sys", "console", "backup")
_MISSING = re.compile("no-such|missing|absent", re.IGNORECASE)
"""Words in the names of images that do not exist."""


def cores(size: str) -> int:
    """The cores of a VM size: the first number in its name."""
    found = _SIZE.fullmatch(size)
    return int(found[3]) if found else 0


def _invalid(message: str, target: str) -> RefusedError:
    return RefusedError(400, "InvalidParameter", message, target=target)


def check(given: Json, name: str) -> None:
    """Raises `RefusedError` for a body that is invalid, whatever the capacity."""
    size = (given.get("hardwareProfile") or {}).get("vmSize", "Standard_A1_v2")
    if not _SIZE.fullmatch(size):
        raise _invalid(f"The value {size} provided for the VM size is not valid.", "vmSize")
    _check_image((given.get("storageProfile") or {}).get("imageReference"))
    profile = given.get("osProfile")
    if not isinstance(profile, dict):
        raise _invalid("Required parameter 'osProfile' is missing (null).", "osProfile")
    if not _COMPUTER.fullmatch(profile.get("computerName") or name):
        raise _invalid("Linux host name is not valid.", "computerName")
    _check_login(profile)
    _check_data(profile.get("customData"), "customData")
    _check_data(given.get("userData"), "userData")
    if given.get("priority") != "Spot" and (given.get("evictionPolicy") or given.get("billingProfile")):
        raise _invalid(
            "Eviction policy and billing profile can be set only on Azure Spot Virtual Machines.", "priority"
        )


def _check_image(image: Any) -> None:
    if not isinstance(image, dict) or not image:
        raise _invalid("Required parameter 'imageReference' is missing (null).", "imageReference")
    id = image.get("id") or image.get("sharedGalleryImageId") or image.get("communityGalleryImageId")
    if id:
        if _MISSING.search(id):
            raise RefusedError(404, "NotFound", f"The image '{id}' was not found.", target="imageReference")
        return
    words = [image.get(part) for part in ("publisher", "offer", "sku", "version")]
    if not all(words):
        raise _invalid("Required parameter 'imageReference' needs publisher, offer, sku and version.", "imageReference")
    urn = ":".join(map(str, words))
    if _MISSING.search(urn):
        message = (
            f"The platform image '{urn}' is not available. Verify that all fields in the storage profile are correct."
        )
        raise RefusedError(404, "PlatformImageNotFound", message, target="imageReference")


def _check_login(profile: Json) -> None:
    user = profile.get("adminUsername")
    if not user:
        raise _invalid("Required parameter 'adminUsername' is missing (null).", "adminUsername")
    if user.lower() in _FORBIDDEN_USERS:
        raise _invalid("The Admin Username specified is not allowed.", "adminUsername")
    linux = profile.get("linuxConfiguration") or {}
    keys = (linux.get("ssh") or {}).get("publicKeys") or []
    for key in keys:
        if not str(key.get("keyData", "")).startswith(("ssh-rsa ", "ssh-ed25519 ")):
            message = "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid."
            raise _invalid(message, "linuxConfiguration.ssh.publicKeys.keyData")
    password = profile.get("adminPassword")
    if not keys and not password:
        raise _invalid("Authentication using either SSH or by user name and password must be enabled.", "adminPassword")
    kinds = [bool(re.search(each, password or "")) for each in ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9]")]
    fewest, most, sorts = _PASSWORD
    if password and (not fewest <= len(password) <= most or sum(kinds) < sorts):
        message = (
            "The supplied password must be between 6-72 characters long and must satisfy at least 3 of password "
            "complexity requirements from the following: 1) Contains an uppercase character 2) Contains a lowercase "
            "character 3) Contains a numeric digit 4) Contains a special character 5) Control characters are not "
            "allowed"
        )
        raise _invalid(message, "adminPassword")


def _check_data(text: str | None, target: str) -> None:
    if text is None:
        return
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        size = CUSTOM_DATA_BYTES + 1
    if size > CUSTOM_DATA_BYTES:
        message = "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380 characters."
        raise _invalid(message, target)


def check_room(account: Account, given: Json, region: str, target: Path) -> None:
    """Raises `RefusedError` if the size is unavailable, no cores are left, or a disk name is taken."""
    size = (given.get("hardwareProfile") or {}).get("vmSize", "Standard_A1_v2")
    missing = account.limits.sizes.get(region, [])
    if size in missing or "*" in missing:
        message = (
            f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' is "
            f"currently not available in location '{region}'. Please try another size or deploy to a different "
            "location or different zone. See https://aka.ms/azureskunotavailable for details."
        )
        raise RefusedError(409, "SkuNotAvailable", message)
    _check_cores(account, region, cores(size))
    storage = given.get("storageProfile") or {}
    for disk in [storage.get("osDisk") or {}, *(storage.get("dataDisks") or [])]:
        name = disk.get("name")
        here = f"/subscriptions/{target.subscription}/resourceGroups/{target.group}/providers"
        id = f"{here}/Microsoft.Compute/disks/{name}"
        if name and account.find(id) is not None:
            group = target.group
            message = f"Disk {name} already exists in resource group {group}. Only CreateOption.Attach is supported."
            raise RefusedError(409, "ConflictingUserInput", message, target="/subscriptions")


def _check_cores(account: Account, region: str, wanted: int) -> None:
    limit = account.limits.cores
    if limit is None:
        return
    used = sum(
        cores(each.properties["hardwareProfile"]["vmSize"])
        for each in account.of_type("Microsoft.Compute/virtualMachines")
        if each.location == region
    )
    if used + wanted > limit:
        message = (
            "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. "
            f"Additional details - Deployment Model: Resource Manager, Location: {region}, Current Limit: {limit}, "
            f"Current Usage: {used}, Additional Required: {wanted}, (Minimum) New Limit Required: {used + wanted}."
        )
        raise RefusedError(409, "OperationNotAllowed", message)


def filled(given: Json, region: str) -> Json:
    """The properties of a new VM as the API returns them: with defaults, without secrets."""
    del region
    made = copy.deepcopy(given)
    for name in ("userData", "provisioningState", "vmId", "instanceView", "timeCreated"):
        made.pop(name, None)
    made.setdefault("hardwareProfile", {"vmSize": "Standard_A1_v2"})
    storage = made["storageProfile"]
    image = storage["imageReference"]
    if "publisher" in image:
        windows = "windows" in f"{image['publisher']}{image.get('offer')}".lower()
        image["exactVersion"] = "1.0.20240101" if image["version"] == "latest" else image["version"]
    else:
        windows = bool(made["osProfile"].get("windowsConfiguration"))
    disk: Json = {"osType": "Windows" if windows else "Linux", "createOption": "FromImage", "caching": "ReadWrite"}
    disk |= {"deleteOption": "Detach", "diskSizeGB": 127 if windows else 30}
    storage["osDisk"] = {**disk, **(storage.get("osDisk") or {})}
    storage["dataDisks"] = [_data_disk(each) for each in storage.get("dataDisks") or []]
    made["osProfile"] = _profile(made["osProfile"], windows)
    if made.get("priority") == "Spot":
        made.setdefault("evictionPolicy", "Deallocate")
        made.setdefault("billingProfile", {"maxPrice": -1.0})
    return made


def _data_disk(given: Json) -> Json:
    made = {"caching": "None", "deleteOption": "Detach", "toBeDetached": False, **given}
    made["managedDisk"] = {"storageAccountType": "Standard_LRS", **(given.get("managedDisk") or {})}
    return made


def _profile(given: Json, windows: bool) -> Json:
    made = {name: value for name, value in given.items() if name not in ("adminPassword", "customData")}
    patches = {"patchMode": "AutomaticByOS" if windows else "ImageDefault", "assessmentMode": "ImageDefault"}
    part = "windowsConfiguration" if windows else "linuxConfiguration"
    defaults: Json = {"provisionVMAgent": True, "patchSettings": patches}
    defaults["enableAutomaticUpdates" if windows else "disablePasswordAuthentication"] = windows
    made[part] = {**defaults, **(given.get(part) or {})}
    return {"secrets": [], "allowExtensionOperations": True, "requireGuestProvisionSignal": True, **made}


def check_unchanged(existing: Resource, given: Json) -> None:
    """Raises `RefusedError` for changes that a VM does not allow."""
    old = existing.properties
    for part, name in (("osProfile", "adminUsername"), ("osProfile", "computerName")):
        wanted = (given.get(part) or {}).get(name)
        if wanted is not None and wanted != (old.get(part) or {}).get(name):
            message = f"Changing property '{part}.{name}' is not allowed."
            raise RefusedError(409, "PropertyChangeNotAllowed", message, target=f"{part}.{name}")
    data = (given.get("osProfile") or {}).get("customData")
    if data is not None and data != existing.hidden.get("customData"):
        message = "Changing property 'osProfile.customData' is not allowed."
        raise RefusedError(409, "PropertyChangeNotAllowed", message, target="osProfile.customData")
    if given.get("priority", old.get("priority")) != old.get("priority"):
        message = "Changing property 'priority' is not allowed."
        raise RefusedError(409, "PropertyChangeNotAllowed", message, target="priority")
    images = [dict((each.get("storageProfile") or {}).get("imageReference") or {}) for each in (given, old)]
    for each in images:
        each.pop("exactVersion", None)
    if images[0] and images[0] != images[1]:
        message = "Changing property 'imageReference' is not allowed."
        raise RefusedError(409, "PropertyChangeNotAllowed", message, target="imageReference")
