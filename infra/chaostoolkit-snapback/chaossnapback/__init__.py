"""Runs snapback's experiments on AWS Lambda functions from the Chaos Toolkit.

The extension drives snapback's command line. A run belongs to snapback's state machine, so it ends and restores at its time at
the latest, also when the Chaos Toolkit no longer runs.
"""

import logging

from chaoslib.discovery.discover import discover_actions, discover_activities, discover_probes, initialize_discovery_result
from chaoslib.types import Discovery

__all__ = ["__version__", "discover"]
__version__ = "0.1.0"
logger = logging.getLogger("chaostoolkit")


def discover(discover_system: bool = True) -> Discovery:
    """Lists the actions, the probes and the control of this extension."""
    logger.info("Discovering capabilities from chaostoolkit-snapback")
    discovery = initialize_discovery_result("chaostoolkit-snapback", __version__, "snapback")
    discovery["activities"].extend(discover_actions("chaossnapback.actions"))
    discovery["activities"].extend(discover_probes("chaossnapback.probes"))
    discovery["activities"].extend(discover_activities("chaossnapback.control", "control"))
    return discovery
