"""The modules that programs of Occopus 1.x import: `occoapp` and `manager`."""
