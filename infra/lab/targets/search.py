"""Finds products by price. A target of the lab: nothing in it knows that it is experimented on."""

import money
import telemetry

CATALOGUE = {"cup": "7.90", "plate": "12.50", "pan": "49.00"}


def handler(event, context):
    limit = money.parse(event.get("limit", "20.00"))
    found = sorted(name for name, price in CATALOGUE.items() if money.parse(price) <= limit)
    telemetry.emit("search", found=len(found), request=context.aws_request_id)
    return {"statusCode": 200, "body": {"products": found}}
