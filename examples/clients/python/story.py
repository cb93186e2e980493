"""Deletes a sample, restores it, deletes it for good, erases its user and reads the receipt, with a client that is
generated from openapi/openapi.json."""

import os
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar
from uuid import UUID

from lethe_client import AuthenticatedClient
from lethe_client.api.admin import (
    erase_user,
    get_erasure,
    get_task,
    get_user,
    list_deleted,
    list_erasures,
    pause,
    resume,
    retry_task,
)
from lethe_client.api.samples import delete_sample, get_sample_deletion, restore_sample
from lethe_client.models import ErasureStatus, PauseReason, Problem, ProblemCode, Retry, TaskStatus

T = TypeVar("T")
SAMPLE_ID = UUID(os.environ["SAMPLE_ID"])
USER_ID = os.environ["USER_ID"]
lethe = AuthenticatedClient(base_url=os.environ["BASE_URL"], token=os.environ["ADMIN_TOKEN"])


def fail(answer: object) -> NoReturn:
    raise SystemExit(f"unexpected answer: {answer}")


def good(answer: T | Problem | None) -> T:
    """The answer, unless it is a problem."""
    if answer is None or isinstance(answer, Problem):
        fail(answer)
    return answer


def eventually(ask: Callable[[], T], is_done: Callable[[T], bool]) -> T:
    """Asks again until the answer is the one waited for, for at most 30 seconds."""
    for _ in range(300):
        answer = ask()
        if is_done(answer):
            return answer
        time.sleep(0.1)
    fail("waited in vain")


def is_listed() -> bool:
    """Whether the sample is in the list of what is deleted and not purged yet."""
    page = good(list_deleted.sync(client=lethe, entity_type="sample", entity_id=str(SAMPLE_ID)))
    return any(item.id == str(SAMPLE_ID) for item in page.items)


# While claiming is paused, the deletion waits and can be taken back.
settings = good(pause.sync(client=lethe, body=PauseReason(reason="a test of the generated client")))
assert settings.paused, "it is not paused"
task = good(delete_sample.sync(SAMPLE_ID, client=lethe))
assert task.status == TaskStatus.PENDING, task.status
assert is_listed(), "the sample is not listed"
restored = good(restore_sample.sync(SAMPLE_ID, client=lethe))
assert restored.id == SAMPLE_ID and not is_listed(), "the sample is not restored"

task = good(delete_sample.sync(SAMPLE_ID, client=lethe))
print(f"task {task.id}: {task.kind} of {task.entity_type} {task.entity_id}")
good(resume.sync(client=lethe, body=PauseReason(reason="the test is over")))
task = eventually(
    lambda: good(get_sample_deletion.sync(SAMPLE_ID, client=lethe)),
    lambda task: task.status == TaskStatus.COMPLETED,
)
shown = good(get_task.sync(task.id, client=lethe))
print(f"task {shown.id} is {shown.status} after {shown.attempts} attempt(s)")

assert not is_listed(), "the sample is still there"

missing = retry_task.sync("999999999", client=lethe, body=Retry(reason="there is no such task"))
if not isinstance(missing, Problem) or missing.code != ProblemCode.TASK_NOT_FOUND:
    fail(missing)

user = good(get_user.sync(USER_ID, client=lethe))
assert user.known, "nobody knows this user"
erasure = good(erase_user.sync(USER_ID, client=lethe))
assert erasure.user_known
receipt = eventually(
    lambda: good(get_erasure.sync(USER_ID, client=lethe)),
    lambda receipt: receipt.status == ErasureStatus.COMPLETE,
)
erasures = good(list_erasures.sync(client=lethe, status=ErasureStatus.COMPLETE))
assert any(item.user_id == USER_ID for item in erasures.items), "the erasure is not listed"
print(f"{USER_ID}: {receipt.status}, {receipt.objects_deleted} objects, by {receipt.requested_by}")
