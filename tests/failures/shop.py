"""Takes orders: the code of the functions on which the common failures are run. It has no code for experiments."""

import os

TABLE = os.environ["TABLE_NAME"]
RECEIPTS_BYTES = 200_000_000


def handler(event, context):
    if "order" in event:
        read_order(event["order"])
    if "receipts" in event:
        write_receipts()
    return {"memory": int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])}


def read_order(number):
    # Loaded here, because it takes most of a cold start and few requests need it.
    import boto3
    from botocore.config import Config

    orders = boto3.client("dynamodb", config=Config(connect_timeout=3, retries={"total_max_attempts": 1}))
    orders.get_item(TableName=TABLE, Key={"number": {"S": number}})


def write_receipts():
    with open("/tmp/receipts", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, RECEIPTS_BYTES)
    os.remove("/tmp/receipts")
