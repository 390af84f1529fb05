"""Writes an order into a table. A target of the lab: it has no code for experiments."""

import os

import boto3
import money
import telemetry

# Kept for the next invocations, with its connection.
TABLES = boto3.client("dynamodb")


def handler(event, context):
    total = money.parse(event.get("total", "25.30"))
    order = {"pk": {"S": context.aws_request_id}, "total": {"S": money.text(total)}}
    TABLES.put_item(TableName=os.environ["TABLE"], Item=order)
    telemetry.emit("order", request=context.aws_request_id)
    return {"statusCode": 200, "body": {"ordered": money.text(total)}}
