"""A function whose code fails when anything looks up a name that it does not have, or creates its exception."""

import sys

SETTINGS = {}


class Exits(Exception):
    def __init__(self, message):
        sys.exit(9)


class Application:
    def __getattr__(self, name):
        raise RuntimeError("there is no request")

    def __call__(self, event, context):
        return event


def __getattr__(name):
    return SETTINGS[name]


handler = Application()
