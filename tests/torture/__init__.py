"""The torture harness: commands are killed and stopped at every boundary, and nothing may be lost or leaked.

``python -m tests.torture`` and ``docs/torture.md``.
"""
