"""Finds products by price. A target of the lab: it has no code for experiments."""

import money
import telemetry

CATALOG = {"cup": "7.90", "plate": "12.50", "pan": "49.00"}


def handler(event, context):
    limit = money.parse(event.get("limit", "20.00"))
    found = sorted(name for name, price in CATALOG.items() if money.parse(price) <= limit)
    telemetry.emit("search", found=len(found), request=context.aws_request_id)
    return {"statusCode": 200, "body": {"products": found}}
