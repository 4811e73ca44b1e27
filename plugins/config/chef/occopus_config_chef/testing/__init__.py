"""A Chef server on this machine and a stand-in for chef-client, for tests and examples.

The server is goiardi: ``apt-get install goiardi``. Debian has no package of chef-client.
"""

from occopus_config_chef.testing.client import ChefClient
from occopus_config_chef.testing.goiardi import Goiardi, installed

__all__ = ["ChefClient", "Goiardi", "installed"]
