from ..words import GREETING


def handler(event, context):
    return {"greeting": GREETING}
