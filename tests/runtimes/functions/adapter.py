"""A handler of a framework: an object whose class is from another module."""

from framework import Adapter


class OutOfStock(Exception):
    pass


handler = Adapter(lambda event: event)
