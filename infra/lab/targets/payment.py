"""Takes a payment. A target of the lab: nothing in it knows that it is experimented on."""

import os

import money
import telemetry

PROVIDER_KEY = os.environ["PROVIDER_API_KEY"]


def handler(event, context):
    amount = money.parse(event.get("amount", "20.40"))
    # A real function would call the provider here; having the key is what the answer depends on.
    authorised = bool(PROVIDER_KEY) and amount > 0
    telemetry.emit("payment", authorised=authorised, request=context.aws_request_id)
    return {"statusCode": 200 if authorised else 402, "body": {"paid": money.text(amount)}}
