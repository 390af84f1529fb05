"""A handler that puts chaos_lambda around the function's own, for a layer that also contains the package."""

import importlib
import os
import time

from chaos_lambda import inject_fault

module, _, function = os.environ["CHAOS_ORIGINAL_HANDLER"].rpartition(".")
original = getattr(importlib.import_module(module.replace("/", ".")), function)
faulty = inject_fault(original)
deadline = int(os.environ["CHAOS_DEADLINE"]) / 1000


def handler(event, context):
    return (faulty if time.time() < deadline else original)(event, context)
