"""Occopus resource handler for Amazon EC2 and what speaks its API."""

from occopus_resource_ec2.handler import Ec2Handler

__all__ = ["Ec2Handler"]
