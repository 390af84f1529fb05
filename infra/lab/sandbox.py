"""Finds out how a function's process can see its layers at /opt on this machine: in its own mount namespace, or not at all.

Mounts in a mount namespace are visible only to the processes in it, and vanish with the last one, however that ends.
"""

from __future__ import annotations

import functools
import subprocess

# The options of `unshare`: as root, and as an ordinary user where the machine allows user namespaces.
CANDIDATES = ("--mount", "--user --map-root-user --mount")
# What bootstrap.sh mounts.
PROBE = "mount -t tmpfs tmpfs /opt && mount --rbind /opt /tmp"
PROBE_SECONDS = 10


@functools.cache
def unshare_options() -> str:
    """Returns the options of `unshare` that work here; an empty text if none do."""
    return next((options for options in CANDIDATES if works(options)), "")


def works(options: str) -> bool:
    command = ["unshare", *options.split(), "--propagation", "private", "--", "sh", "-c", PROBE]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def description() -> str:
    if unshare_options():
        return "the functions run on AWS's runtime clients, with layers at /opt in a mount namespace of each process"
    return "the functions run on AWS's runtime clients; this machine allows no mount namespaces, so /opt in variables is translated"
