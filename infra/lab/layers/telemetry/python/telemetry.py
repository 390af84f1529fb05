"""Writes one JSON log line per business event."""

import json
import os
import time


def emit(name: str, **fields: object) -> None:
    line = {"event": name, "service": os.environ.get("SERVICE_NAME", "unknown"), "time": time.time(), **fields}
    print(json.dumps(line))
