"""Writes openapi.json for progenitor, which takes one type of error for an operation, as application/json:
all failures become one answer, the problem body that every one of them has."""

import json
import sys

spec = json.load(open(sys.argv[1]))
problem = {"$ref": "#/components/schemas/Problem"}
for operations in spec["paths"].values():
    for operation in operations.values():
        kept = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
        kept["4XX"] = kept["5XX"] = {"description": "A problem", "content": {"application/json": {"schema": problem}}}
        operation["responses"] = kept
json.dump(spec, open(sys.argv[2], "w"), indent=1)
