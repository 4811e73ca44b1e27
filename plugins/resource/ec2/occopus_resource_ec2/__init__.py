"""Occopus resource handler for Amazon EC2 and clouds with its API."""

from occopus_resource_ec2.handler import Ec2Handler

__all__ = ["Ec2Handler"]
