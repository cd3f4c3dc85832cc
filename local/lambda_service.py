"""Lambda, its logs and roles, as far as a person's tools ask about rotation functions.

Simulated: a few operations, answered in the shapes of botocore's models; nobody is refused but on
order. A :class:`LambdaService` answers at the endpoint of a
:class:`~local.secretsmanager.SecretsManagerService`, whose rotations invoke the same functions::

    service = SecretsManagerService()
    functions = LambdaService(service)
    arn = functions.add("postgres", runtime.invoke, handler="rotators.postgres.rotator.handler")
    runtime.listener = functions.listener(arn)

====================================================  ==============================================
``ListFunctions``, ``GetFunctionConfiguration``       what was said of each function
``GetPolicy``                                         that Secrets Manager may invoke it
``Invoke``                                            really invokes it
``FilterLogEvents``                                   the lines that it wrote, by fields of JSON
``SimulatePrincipalPolicy``                           that its role may do everything, but for
                                                      what is refused on order
====================================================  ==============================================
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from local.secretsmanager import SecretsManagerService

Answer = tuple[int, bytes, dict[str, str]]
Invoke = Callable[[Any], object]

LOGS_TARGET: Final = "Logs_20140328."
PAGE: Final = 10_000
_IAM: Final = "https://iam.amazonaws.com/doc/2010-05-08/"
_XML: Final = {"Content-Type": "text/xml"}
OPERATIONS: Final[Mapping[str | None, str]] = {
    None: "ListFunctions",
    "configuration": "GetFunctionConfiguration",
    "policy": "GetPolicy",
    "invocations": "Invoke",
}
"""By what follows the function's name in the path."""
_FUNCTION: Final = re.compile(
    r"/2015-03-31/functions(?:/([^/]+)/(configuration|policy|invocations)|/?)"
)
_TERM: Final = re.compile(r'\$\.(\w+)\s*(!?=)\s*(?:"([^"]*)"|\*)')


@dataclass
class Function:
    """One function, and what it has written to its log: (milliseconds since 1970, line)."""

    arn: str
    invoke: Invoke
    configuration: dict[str, Any]
    policy: dict[str, Any] | None
    log: list[tuple[int, str]] = field(default_factory=list)

    @property
    def group(self) -> str:
        """The name of its log group."""
        return str(self.configuration["LoggingConfig"]["LogGroup"])


class LambdaService:
    """The functions of one account, and their logs.

    Args:
        service: Whose endpoint answers, and whose rotations invoke the functions.

    Attributes:
        denied: Operations that are refused, such as ``FilterLogEvents``.
        refused_to_roles: Actions that no role may do, such as ``kms:Decrypt``.
    """

    def __init__(self, service: SecretsManagerService) -> None:
        self._service = service
        self._functions: dict[str, Function] = {}
        self._lock = Lock()
        self.denied: set[str] = set()
        self.refused_to_roles: set[str] = set()
        service.others |= {"lambda": self.answer, "logs": self.answer, "iam": self.answer_iam}

    def add(
        self,
        name: str,
        invoke: Invoke,
        *,
        handler: str,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: int = 60,
        description: str = "",
        invocable: bool = True,
    ) -> str:
        """Make a function; return its ARN.

        Args:
            name: Its name.
            invoke: Called with the event; returns its answer, raises where it fails.
            handler: Such as ``rotators.postgres.rotator.handler``.
            environment: Its variables.
            timeout_seconds: As its configuration says.
            description: Likewise.
            invocable: Whether its policy lets Secrets Manager invoke it.
        """
        where = f"{self._service.region}:{self._service.account}"
        arn = f"arn:aws:lambda:{where}:function:{name}"
        configuration = {
            "FunctionName": name,
            "FunctionArn": arn,
            "Handler": handler,
            "Description": description,
            "Timeout": timeout_seconds,
            "Role": f"arn:aws:iam::{self._service.account}:role/{name}",
            "Environment": {"Variables": dict(environment or {})},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        }
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "secretsmanager.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": arn,
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]} if invocable else None
        self._functions[arn] = Function(arn, invoke, configuration, policy)

        def rotate(event: Mapping[str, str]) -> None:
            invoke(event)

        self._service.functions[arn] = rotate
        return arn

    def forbid_invoking(self, arn: str) -> None:
        """Take a function's policy away: nobody may invoke it."""
        self._functions[arn].policy = None

    def listener(self, arn: str) -> Callable[[str], None]:
        """Return what puts what a function has written into its log."""
        return lambda written: self.write(arn, written)

    def write(self, arn: str, written: str, ago_seconds: float = 0) -> None:
        """Put lines into the log of a function."""
        moment = int((self._service.now().timestamp() - ago_seconds) * 1000)
        with self._lock:
            self._functions[arn].log += [(moment, line) for line in written.splitlines()]

    # -- answers ---------------------------------------------------------------------------------

    def answer(self, path: str, target: str, body: bytes) -> Answer:
        """Answer a request as it is on the wire.

        Args:
            path: Of its URL, with the query.
            target: Its header ``X-Amz-Target``, empty where it has none.
            body: Its body.

        Returns:
            Status, body, headers.
        """
        parts = urlsplit(path)
        found = _FUNCTION.fullmatch(parts.path)
        if target == f"{LOGS_TARGET}FilterLogEvents":
            operation = "FilterLogEvents"
        elif target or found is None:
            return _error(501, "NotImplemented", f"{target or path} is not to be had locally.")
        else:
            operation = OPERATIONS[found[2]]
        if operation in self.denied:
            message = f"User is not authorized to call {operation}."
            return _error(403, "AccessDeniedException", message)
        if operation == "FilterLogEvents":
            return self._filter_log_events(json.loads(body))
        name = unquote(found[1] or "") if found else ""
        if not name:
            return self._list_functions(parse_qs(parts.query))
        return self._about(operation, name, body)

    def answer_iam(self, _path: str, _target: str, body: bytes) -> Answer:
        """Answer a request to IAM, whose answers are XML; likewise."""
        asked = parse_qs(body.decode())
        operation = asked["Action"][0]
        if operation != "SimulatePrincipalPolicy" or operation in self.denied:
            code = "AccessDenied" if operation in self.denied else "NotImplemented"
            told = f"<Error><Code>{code}</Code><Message>{operation}</Message></Error>"
            return 403, f"<ErrorResponse>{told}</ErrorResponse>".encode(), _XML
        actions = [name[0] for key, name in asked.items() if key.startswith("ActionNames.")]
        members = "".join(
            f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalDecision>"
            f"{'implicitDeny' if action in self.refused_to_roles else 'allowed'}"
            "</EvalDecision></member>"
            for action in actions
        )
        results = (
            f"<EvaluationResults>{members}</EvaluationResults><IsTruncated>false</IsTruncated>"
        )
        result = f"<SimulatePrincipalPolicyResult>{results}</SimulatePrincipalPolicyResult>"
        whole = f'<{operation}Response xmlns="{_IAM}">{result}</{operation}Response>'
        return 200, whole.encode(), _XML

    def _about(self, operation: str, name: str, body: bytes) -> Answer:
        function = self._named(name)
        if function is None:
            return _error(404, "ResourceNotFoundException", f"Function not found: {name}")
        if operation == "Invoke":
            return _invoked(function, body)
        if operation == "GetPolicy":
            return self._policy_of(function)
        return _ok(function.configuration)

    def _named(self, name: str) -> Function | None:
        arn = ":".join(name.split(":")[:7])
        by_name = (each for each in self._functions.values() if each.arn.endswith(f":{name}"))
        return self._functions.get(arn) or next(by_name, None)

    def _list_functions(self, query: Mapping[str, list[str]]) -> Answer:
        first = int(query.get("Marker", ["0"])[0])
        every = [each.configuration for each in self._functions.values()]
        more = {"NextMarker": str(first + 50)} if len(every) > first + 50 else {}
        return _ok({"Functions": every[first : first + 50], **more})

    @staticmethod
    def _policy_of(function: Function) -> Answer:
        if function.policy is None:
            return _error(404, "ResourceNotFoundException", "The resource has no policy.")
        return _ok({"Policy": json.dumps(function.policy), "RevisionId": "1"})

    def _filter_log_events(self, request: Mapping[str, Any]) -> Answer:
        name = request.get("logGroupName")
        function = next((each for each in self._functions.values() if each.group == name), None)
        if function is None:
            message = "The specified log group does not exist."
            return _error(400, "ResourceNotFoundException", message)
        terms = _TERM.findall(request.get("filterPattern", ""))
        begin = request.get("startTime", 0)
        end = request.get("endTime", int((time.time() + 10**9) * 1000))
        with self._lock:
            found = [
                {
                    "eventId": str(number),
                    "logStreamName": "local",
                    "timestamp": moment,
                    "ingestionTime": moment,
                    "message": line,
                }
                for number, (moment, line) in enumerate(function.log)
                if begin <= moment <= end and _matches(line, terms)
            ]
        first = int(request.get("nextToken", "0"))
        limit = min(request.get("limit", PAGE), PAGE)
        more = {"nextToken": str(first + limit)} if len(found) > first + limit else {}
        return _ok({"events": found[first : first + limit], "searchedLogStreams": [], **more})


def _matches(line: str, terms: list[tuple[str, str, str]]) -> bool:
    if not terms:
        return True
    try:
        document = json.loads(line)
    except ValueError:
        return False
    return isinstance(document, dict) and all(
        name in document and (not value or (document[name] == value) is (sign == "="))
        for name, sign, value in terms
    )


def _invoked(function: Function, body: bytes) -> Answer:
    try:
        answer = function.invoke(json.loads(body or b"{}"))
    except Exception as error:  # noqa: BLE001 - whatever the function raises
        told = {"errorType": type(error).__name__, "errorMessage": str(error)}
        return 200, json.dumps(told).encode(), {"X-Amz-Function-Error": "Unhandled"}
    return _ok(answer)


def _ok(answer: object) -> Answer:
    return 200, json.dumps(answer).encode(), {"Content-Type": "application/json"}


def _error(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "Message": message, "message": message}).encode()
    return status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": code}
