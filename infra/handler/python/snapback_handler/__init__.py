"""snapback's chaos handler for Python: it replaces a function's handler during an experiment, and calls the original.

bootstrap.py is the handler that the runtime loads. It passes every call on until a fault is due, which faults.py injects.
"""
