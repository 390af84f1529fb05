"""Writes a receipt. A target of the lab: it has no code for experiments."""

import money
import telemetry


def handler(event, context):
    total = money.parse(event.get("total", "25.30"))
    telemetry.emit("receipt", request=context.aws_request_id)
    return {"statusCode": 200, "body": {"receipt": f"total {money.text(total)}"}}
