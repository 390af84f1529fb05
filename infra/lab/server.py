"""What runs in the emulator's process: ministack, with the bridge beside it.

    server.py DIRECTORY [PARENT]

PARENT: the process without which this one has no purpose, and ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from bridge import JOURNAL, Bridge

PARENT_CHECK_SECONDS = 1.0


def main() -> None:
    # ministack speaks CBOR only where it finds this, and AWS's own client of CloudWatch for Rust speaks nothing else.
    import cbor2  # noqa: F401
    from ministack import app
    from ministack.services import cloudwatch, eventbridge

    directory, *parent = sys.argv[1:]
    for number in parent:
        threading.Thread(target=end_with, args=(int(number),), daemon=True).start()
    Bridge(cloudwatch, eventbridge, Path(directory) / JOURNAL).install()
    # ministack reads the command line too, and knows none of this.
    sys.argv = sys.argv[:1]
    app.main()


def end_with(parent: int) -> None:
    """A lab that was killed cannot stop its emulator any more: the emulator, and the functions in it, stop then."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
