"""Takes a payment. A target of the lab: it has no code for experiments."""

import os

import money
import telemetry

PROVIDER_KEY = os.environ["PROVIDER_API_KEY"]


def handler(event, context):
    amount = money.parse(event.get("amount", "20.40"))
    # A real function would call the provider here. This response depends only on the key.
    authorized = bool(PROVIDER_KEY) and amount > 0
    telemetry.emit("payment", authorized=authorized, request=context.aws_request_id)
    return {"statusCode": 200 if authorized else 402, "body": {"paid": money.text(amount)}}
