"""A function that replaces what the chaos handler also needs, as faster parsers and frozen clocks do."""

import json
import os
import sys
import time

load, dump = json.loads, json.dumps
json.loads = lambda text: load(text)
json.dumps = lambda value: dump(value).encode()
os.urandom = lambda size: b""
time.time = lambda: 0
sys.stderr = None
sys.modules["opcode"] = None


def handler(event, context):
    return event
