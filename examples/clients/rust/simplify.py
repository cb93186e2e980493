"""Writes openapi.json for progenitor, which takes one type of error for an operation, as application/json:
all failures become one answer, the problem body that every one of them has. It makes a type of its own of each text and
number with bounds, so the bounds are left out."""

import json
import sys

BOUNDS = {"pattern", "minLength", "maxLength", "minimum", "maximum", "default"}


def without_bounds(node):
    if isinstance(node, list):
        return [without_bounds(item) for item in node]
    if not isinstance(node, dict):
        return node
    is_schema = isinstance(node.get("type"), str)
    return {name: without_bounds(value) for name, value in node.items() if not (is_schema and name in BOUNDS)}


spec = without_bounds(json.load(open(sys.argv[1])))
problem = {"$ref": "#/components/schemas/Problem"}
for operations in spec["paths"].values():
    for operation in operations.values():
        kept = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
        kept["4XX"] = kept["5XX"] = {"description": "A problem", "content": {"application/json": {"schema": problem}}}
        operation["responses"] = kept
json.dump(spec, open(sys.argv[2], "w"), indent=1)
