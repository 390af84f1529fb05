"""Exceptions of the functions."""


class OutOfStock(Exception):
    pass


class NeedsTwo(Exception):
    def __init__(self, item, count):
        super().__init__(item, count)
