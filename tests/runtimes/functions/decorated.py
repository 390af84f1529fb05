"""A function that uses the decorator of chaos_lambda."""

from chaos_lambda import inject_fault


class OutOfStock(Exception):
    pass


@inject_fault
def handler(event, context):
    print("handled", context.aws_request_id, 0, flush=True)
    return event
