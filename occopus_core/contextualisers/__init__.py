"""The contextualisations of the core, plugins like any other: `cloudinit`, `docker` and `basic`."""
