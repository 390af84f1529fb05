"""Writes a receipt with a greeting: the release that is deployed while an experiment runs."""

import os

import greeting
import money
import telemetry


def handler(event, context):
    total = money.parse(event.get("total", "25.30"))
    telemetry.emit("receipt", release=os.environ["RELEASE"], request=context.aws_request_id)
    return {"statusCode": 200, "body": {"receipt": f"total {money.text(total)}", "greeting": greeting.TEXT}}
