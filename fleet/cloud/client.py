"""The client: one for each account and region, shared by all threads of a process."""

from fleet.cloud.creating import CreatingCalls
from fleet.cloud.describe import ReadingCalls


class EcsClient(ReadingCalls, CreatingCalls):
    """Typed calls of the ECS API 2014-05-26 in one region of one account.

    Every call may raise CloudError, whose `retryability` says what to do. ValueError is raised before anything is sent for
    what only a mistake in the program can ask: more items than a call takes, an empty list of machines to act on, a missing
    ClientToken.
    """
