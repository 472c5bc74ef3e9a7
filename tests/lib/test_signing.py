"""Signatures that anybody's library of Standard Webhooks accepts."""

import pytest

from fleet.lib.signing import headers, key_of, sign

# The vector that the libraries of Standard Webhooks publish.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector() -> None:
    assert sign(key_of(SECRET), MESSAGE, AT, BODY) == SIGNATURE


def test_a_receiver_can_check_the_headers() -> None:
    sent = headers(key_of(SECRET), MESSAGE, AT, BODY)
    again = sign(key_of(SECRET), sent["webhook-id"], int(sent["webhook-timestamp"]), BODY)
    assert sent["webhook-signature"] == again == SIGNATURE


@pytest.mark.parametrize("other", [(MESSAGE + "x", AT, BODY), (MESSAGE, AT + 1, BODY), (MESSAGE, AT, BODY + b" ")])
def test_nothing_can_be_changed_unnoticed(other: tuple[str, int, bytes]) -> None:
    assert sign(key_of(SECRET), *other) != SIGNATURE


def test_a_secret_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base64|padding|Incorrect"):
        key_of("whsec_not base64!")
