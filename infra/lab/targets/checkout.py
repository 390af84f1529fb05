"""Adds up a basket. A target of the lab: it has no code for experiments."""

import os

import money
import telemetry

SHIPPING = money.parse(os.environ["SHIPPING_FEE"])


def handler(event, context):
    basket = [money.parse(price) for price in event.get("prices", ["12.50", "7.90"])]
    total = money.add(*basket, SHIPPING)
    telemetry.emit("basket", items=len(basket), request=context.aws_request_id)
    return {"statusCode": 200, "body": {"total": money.text(total)}}
