"""One signed call through the official SDK, with the SDK's leaks, retries and surprises shut off.

By itself the SDK sends plain HTTP, puts a password into the URL, writes that URL to its logs and exceptions, prefers the
environment to the credential that it was given, sends loopback calls through a proxy, and repeats ReplaceSystemDisk without a
ClientToken.
"""

import json
import logging
import re
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type
from aliyunsdkcore.request import RpcRequest
from aliyunsdkcore.vendored.requests.packages.urllib3.util import ssl_ as sdk_tls

from fleet.cloud.errors import HTTP_ERROR, UNEXPECTED, UNREADABLE, CloudError, Retryability, retryability_of
from fleet.cloud.types import Credential, Revealable
from fleet.lib.net import is_loopback

OnCall = Callable[[str, bool], None]

CONNECT_TIMEOUT = 3  # seconds
CALL_TIMEOUT = 10  # seconds, connecting included, as below
REPLACE_TIMEOUT = 20
_ENDPOINT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
# As long as this is not empty the SDK does not read HTTP_PROXY; it names a proxy for no address.
_NO_PROXY = {"no": ""}


class Transport:
    """The connection to one region of one account, shared by any number of threads.

    `endpoint` is `host:port`, or empty for the public endpoint of the region. `on_call(action, mutating)` is called before each
    call is sent, so that it can be counted; an exception from it keeps the call from being sent.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        region: str,
        credential: Credential,
        connect_timeout: int = CONNECT_TIMEOUT,
        call_timeout: int = CALL_TIMEOUT,
        replace_timeout: int = REPLACE_TIMEOUT,
        on_call: OnCall | None = None,
        pool_size: int = 32,
    ) -> None:
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise ValueError("An endpoint is written host:port, without a scheme or a path")
        self.endpoint = endpoint
        self.region = region
        self.connect_timeout = connect_timeout
        self.call_timeout = call_timeout
        self.replace_timeout = replace_timeout
        self.on_call = on_call
        self._credential = credential
        loopback = is_loopback(endpoint)
        self._protocol = protocol_type.HTTP if loopback else protocol_type.HTTPS
        self._loopback = loopback
        # Key and secret are given one by one: the SDK would prefer ALIYUN_ACCESS_KEY_ID of the environment to a credential.
        self._sdk = AcsClient(
            credential.access_key_id,
            credential.secret.reveal(),
            region,
            auto_retry=False,
            connect_timeout=connect_timeout,
            proxy=_NO_PROXY if loopback else None,
            pool_size=pool_size,
        )
        self._sdk.append_user_agent("FleetOS", "1")
        self._sdk.session.trust_env = False  # a .netrc file would add a header of its own
        _silence()

    def __repr__(self) -> str:
        return f"<EcsClient {self.region} at {self.endpoint or 'the public endpoint'}>"

    def call(
        self,
        request: RpcRequest,
        *,
        mutating: bool,
        secrets: dict[str, Revealable] | None = None,
        timeout: int | None = None,
    ) -> dict[str, Any]:
        """Send the request once and return the answer, or raise CloudError.

        `secrets` go into the form body and never into the URL; plain HTTP carries them to this machine alone. Within `timeout`
        seconds the connection is made and the answer begins; a server that sends its answer byte by byte can take longer.
        """
        action = str(request.get_action_name())
        request.set_protocol_type(self._protocol)
        if self.endpoint:
            request.set_endpoint(self.endpoint)
        request.set_connect_timeout(self.connect_timeout)
        request.set_read_timeout(max(1, (timeout or self.call_timeout) - self.connect_timeout))
        if secrets and self._protocol is not protocol_type.HTTPS and not self._loopback:
            raise CloudError(
                code="FleetOS.PlainHttp",
                message="A password is not sent over plain HTTP. Use an endpoint that speaks HTTPS.",
                retryability=Retryability.REFUSED,
            )
        hidden = dict(secrets or {})
        if self._credential.security_token is not None:
            hidden["SecurityToken"] = self._credential.security_token
        for name, secret in hidden.items():
            request.add_body_params(name, secret.reveal())
        if self.on_call is not None:
            self.on_call(action, mutating)
        answer = self._send(request, mutating=mutating)
        if isinstance(answer, dict):
            return answer
        answer.message = _without(answer.message, hidden)
        answer.args = (f"{answer.code}: {answer.message}",)
        raise answer

    def unreadable(self, action: str, *, mutating: bool, request_id: str = "") -> CloudError:
        """Return the error for an answer that has another shape than the API promises."""
        return CloudError(
            code=UNREADABLE,
            message=f"The answer to {action} was not one of the API's.",
            retryability=retryability_of(code=UNREADABLE, mutating=mutating),
            request_id=request_id,
        )

    def _send(self, request: RpcRequest, *, mutating: bool) -> dict[str, Any] | CloudError:
        # The error is returned and raised outside: raised here it would carry the SDK's exception, which holds the URL.
        action = str(request.get_action_name())
        try:
            body = json.loads(self._sdk.do_action_with_exception(request))
        except ServerException as error:
            return self._of_server(error, action, mutating)
        except ClientException as error:
            return self._of_client(error, action, mutating)
        except IndexError:
            # The SDK fails on a SignatureDoesNotMatch whose text has no colon.
            return CloudError(
                code="SignatureDoesNotMatch",
                message="The signature does not match: the secret of the access key is another one.",
                retryability=Retryability.REFUSED,
            )
        except ValueError:
            return self.unreadable(action, mutating=mutating)
        except Exception as error:
            return CloudError(
                code=UNEXPECTED,
                message=f"{action}: the SDK failed with {type(error).__name__}.",
                retryability=retryability_of(code=UNEXPECTED, mutating=mutating),
            )
        return body if isinstance(body, dict) else self.unreadable(action, mutating=mutating)

    def _of_server(self, error: ServerException, action: str, mutating: bool) -> CloudError:
        code, status = str(error.get_error_code()), error.get_http_status()
        message = str(error.get_error_msg() or "")
        if code == "SDK.UnknownServerError":
            message = f"The answer to {action} (HTTP {status}) was not one of the API's."
        return CloudError(
            code=code,
            message=message,
            retryability=retryability_of(code=code, mutating=mutating, http_status=status, message=message),
            http_status=status,
            request_id=str(error.get_request_id() or ""),
        )

    def _of_client(self, error: ClientException, action: str, mutating: bool) -> CloudError:
        code = str(error.get_error_code())
        message = str(error.get_error_msg() or "")
        if code == HTTP_ERROR:
            message = f"{action}: {_network_words(message)} ({self.endpoint or 'the public endpoint'})."
        return CloudError(code=code, message=message, retryability=retryability_of(code=code, mutating=mutating))


def _network_words(text: str) -> str:
    """Return in our own words what the SDK says of a network fault, since its text holds the whole URL."""
    for sign, words in (
        ("Read timed out", "no answer in time"),
        ("timed out", "no connection in time"),
        ("refused", "the connection was refused"),
        ("CERTIFICATE", "the certificate was not accepted"),
        ("Name or service not known", "the host name is not known"),
        ("Connection aborted", "the connection broke off"),
        ("reset", "the connection broke off"),
    ):
        if sign in text:
            return words
    return "the connection failed"


def _without(text: str, hidden: dict[str, Revealable]) -> str:
    """Return the text with secrets masked, in each form in which a server could repeat them."""
    for secret in hidden.values():
        value = secret.reveal()
        once = quote(value, safe="")
        for form in (value, once, quote_plus(value), quote(once, safe="")):
            if form:
                text = text.replace(form, "***")
    return text


def _silence() -> None:
    """Shut off the SDK's loggers: one of them sets its own handler and level when it is imported, and DEBUG=sdk prints URLs."""
    for name in [
        "aliyunsdkcore",
        *(name for name in list(logging.root.manager.loggerDict) if name.startswith("aliyunsdkcore")),
    ]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.CRITICAL + 1)
        if not any(isinstance(known, _Nothing) for known in logger.filters):
            logger.addFilter(_Nothing())


class _Nothing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


_silence()
# The urllib3 inside the SDK imports this together with a function that Python 3.12 no longer has, and so takes SNI for missing.
# No server would then be told by which name it is called, and one with several names could show the wrong certificate.
sdk_tls.HAS_SNI = ssl.HAS_SNI
