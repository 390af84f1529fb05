"""A function whose handler handles its own exceptions."""


class OutOfStock(Exception):
    pass


def handler(event, context):
    try:
        return {"sold": event}
    except OutOfStock as error:
        return {"handled": str(error)}
