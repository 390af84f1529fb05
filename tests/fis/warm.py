"""Loads boto3 and the models of the services that the scripts call. Only the process imports it from which they are forked."""

import boto3
import scripts  # noqa: F401

# The scripts' clients come from this session. It has no credentials and no Region: those are read when a client is created.
boto3.setup_default_session()
for service in ("fis", "lambda", "ssm", "stepfunctions"):
    boto3.client(service, region_name="none", aws_access_key_id="none", aws_secret_access_key="none")
