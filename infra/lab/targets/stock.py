"""Reserves stock. A target of the lab: it has no code for experiments."""

import telemetry

SHELF = {"cup": 12, "plate": 7, "pan": 0}


def handler(event, context):
    product = event.get("product", "cup")
    available = SHELF.get(product, 0) > 0
    telemetry.emit("stock", product=product, available=available, request=context.aws_request_id)
    return {"statusCode": 200, "body": {"product": product, "available": available}}
