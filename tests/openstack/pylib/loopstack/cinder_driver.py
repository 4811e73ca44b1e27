"""Cinder volume driver that keeps nothing: for boot-from-volume API flows."""

from cinder import interface
from cinder.volume import driver


@interface.volumedriver
class NullVolumeDriver(driver.VolumeDriver):
    VERSION = "1.0"

    @staticmethod
    def get_driver_options():
        return []

    def do_setup(self, context):
        pass

    def check_for_setup_error(self):
        pass

    def create_volume(self, volume):
        pass

    def create_volume_from_snapshot(self, volume, snapshot):
        pass

    def create_cloned_volume(self, volume, src_vref):
        pass

    def delete_volume(self, volume):
        pass

    def extend_volume(self, volume, new_size):
        pass

    def create_snapshot(self, snapshot):
        pass

    def delete_snapshot(self, snapshot):
        pass

    def clone_image(self, context, volume, image_location, image_meta, image_service):
        return {}, True  # nothing to copy

    def copy_image_to_volume(self, context, volume, image_service, image_id, disable_sparse=False):
        pass

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        pass

    def ensure_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def remove_export(self, context, volume):
        pass

    def initialize_connection(self, volume, connector):
        return {"driver_volume_type": "iscsi", "data": {"access_mode": "rw"}}

    def terminate_connection(self, volume, connector, **kwargs):
        pass

    def _update_volume_stats(self):
        self._stats = {
            "volume_backend_name": "null",
            "vendor_name": "none",
            "driver_version": "1.0",
            "storage_protocol": "iscsi",
            "pools": [
                {
                    "pool_name": "null",
                    "total_capacity_gb": 500,
                    "free_capacity_gb": 500,
                    "provisioned_capacity_gb": 0,
                    "reserved_percentage": 0,
                    "thin_provisioning_support": False,
                }
            ],
        }
