"""How a function is loaded whose load ends with an AttributeError, or whose runtime has another client. Loaded only then."""

import importlib
import traceback


def load(name, runtime, error):
    """Returns the handler, or raises an error that the runtime reports as it would report `error` without snapback."""
    if not hasattr(runtime, "_get_handler"):
        module, _, function = name.rpartition(".")
        return getattr(importlib.import_module(module.replace("/", ".")), function)
    # The runtime would take an AttributeError for a module without a handler.
    # As the runtime's client does, with the line alone, and without the outermost frames of files with this name.
    frames = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(error.__traceback__)]
    first = next((at for at, frame in enumerate(frames) if "/bootstrap.py" not in frame[0]), 0)
    raise runtime.FaultException(type(error).__name__, str(error), traceback.format_list(frames[first:])) from None
