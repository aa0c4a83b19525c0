"""The fixtures `moto_aws` and `moto_server` alone, for sessions without the plugin.

``pytest_plugins = ["asyncsteps.testing.moto"]``, and ``-p no:asyncsteps``.
"""

from asyncsteps.testing.plugin import moto_aws, moto_server

__all__ = ["moto_aws", "moto_server"]
