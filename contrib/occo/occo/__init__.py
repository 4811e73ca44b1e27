"""The module names of the Python API of Occopus 1.x; `occopus_core` does the work."""
