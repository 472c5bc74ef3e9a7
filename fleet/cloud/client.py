"""The client: one per account and region, shared by threads."""

from fleet.cloud.creating import Making
from fleet.cloud.describe import Describing


class EcsClient(Describing, Making):
    """Typed calls of the ECS API 2014-05-26 in one region of one account.

    Every call may raise CloudError, whose verdict says what to do. A list of more than a call takes, an
    empty list of machines to act on, and a call without the ClientToken that it takes are mistakes of the
    program and raise ValueError before anything is sent.
    """
