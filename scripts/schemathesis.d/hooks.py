"""What the OpenAPI document cannot say: a cursor is one that a list gave out, or empty."""

import schemathesis
from hypothesis import strategies

schemathesis.openapi.format("cursor", strategies.just(""))
