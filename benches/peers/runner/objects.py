"""The objects of the erasure: seeded with PUTs, and looked for afterwards."""

import os
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

SEEDERS = 16  # connections
BODY = b"x" * 1024


class Objects:
    def __init__(self, endpoint: str, bucket: str) -> None:
        missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION") if not os.environ.get(name)]
        if missing:
            raise SystemExit(f"the erasure needs {', '.join(missing)} in the environment")
        self.bucket = bucket
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, region_name=os.environ["AWS_REGION"],
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=SEEDERS),
        )
        try:
            self.client.head_bucket(Bucket=bucket)
        except Exception as error:
            raise SystemExit(f"bucket {bucket} at {endpoint} can't be used ({error}): create it, or check the credentials") from error

    def seed(self, keys: list[str]) -> None:
        def put(key: str) -> None:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=BODY)

        with ThreadPoolExecutor(SEEDERS) as pool:
            for _ in pool.map(put, keys):
                pass

    def left(self) -> int:
        """How many seeded objects there still are."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="peers/")
        return sum(page.get("KeyCount", 0) for page in pages)

    def clear(self) -> None:
        """Removes what an interrupted run left behind."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="peers/")
        for page in pages:
            keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if keys:
                self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys})
