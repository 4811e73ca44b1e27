"""Occopus resource handler for Docker and Podman."""

from occopus_resource_docker.handler import DockerHandler

__all__ = ["DockerHandler"]
