"""EC2 on this machine, for tests: `moto` with what it lacks, in a process of its own.

``pip install './plugins/resource/ec2[testing]'`` in a checkout of Occopus
"""

from occopus_resource_ec2.testing.process import ACCESS_KEY, IMAGE, REGION, SECRET_KEY, Ec2Cloud

__all__ = ["ACCESS_KEY", "IMAGE", "REGION", "SECRET_KEY", "Ec2Cloud"]
