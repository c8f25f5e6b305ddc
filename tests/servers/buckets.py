"""Makes the tests' buckets on the S3 and GCS servers that the environment names; buckets that are there stay."""

import json
import os
import sys
import urllib.error
import urllib.request

import boto3
import botocore.exceptions

environment = os.environ


def make_s3_bucket(endpoint, bucket):
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=environment["TIDEMARK_TEST_S3_KEY"],
        aws_secret_access_key=environment["TIDEMARK_TEST_S3_SECRET"],
        region_name="us-east-1",
    )
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)


def make_gcs_bucket(endpoint, bucket):
    request = urllib.request.Request(
        endpoint + "/storage/v1/b?project=test",
        json.dumps({"name": bucket}).encode(),
        {"content-type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 409:  # there already
            raise


for make, name in ((make_s3_bucket, "TIDEMARK_TEST_S3"), (make_gcs_bucket, "TIDEMARK_TEST_GCS")):
    if name in environment:
        try:
            make(environment[name], environment[name + "_BUCKET"])
        except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            sys.exit(f"no bucket on {name}={environment[name]}: {error}")
