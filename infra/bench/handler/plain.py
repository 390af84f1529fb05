"""The handler that the chaos handler calls."""


def handler(event, context):
    return event
