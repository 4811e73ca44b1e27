"""A simulated EC2 on this machine, for tests: `moto` and what it lacks, in a separate process.

``pip install './plugins/resource/ec2[testing]'`` in a checkout of Occopus
"""

from occopus_resource_ec2.testing.process import ACCESS_KEY, IMAGE, REGION, SECRET_KEY, Ec2Cloud

__all__ = ["ACCESS_KEY", "IMAGE", "REGION", "SECRET_KEY", "Ec2Cloud"]
