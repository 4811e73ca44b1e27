"""Azure Resource Manager on this machine, for tests and examples.

``pip install 'occopus-resource-azure[testing]'``
"""
