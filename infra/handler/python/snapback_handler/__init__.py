"""snapback's chaos handler for Python: it replaces a function's handler during an experiment, and calls the original.

bootstrap.py is the handler that the runtime loads. It passes every call on until a fault is due, which faults.py injects.

The other files take from here what a function may replace, such as `json.loads = orjson.loads` or a clock that stands still: this file
is loaded before the function's module, and some of the others after it.
"""

from json import JSONEncoder, loads
from os import environ, urandom, write
from time import monotonic, sleep, time

to_json = JSONEncoder(separators=(",", ":")).encode

__all__ = ["environ", "loads", "monotonic", "sleep", "time", "to_json", "urandom", "write"]
