"""What a failed rotation tells people to do is done, word for word; the secret is rotated then."""

import json
import re
import shlex
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.servers import Server
from shared.errors import RotationError
from tests.functional.rotations import Rotating, RotatingSecret, new_name

PASSWORD = "the First passw0rd"
ROUNDS = 4
"""How often something may turn out to be missing besides: each time it is told, and done."""

SQL = r"((?:ALTER|GRANT|CREATE|COMMENT) [^;]+?(?:; GRANT [^;]+?)*)"
STATEMENTS = [
    rf"A more powerful role runs: {SQL}$",
    rf"To adopt it, a DBA runs: {SQL}$",
    r"(GRANT CREATE USER ON \*\.\* TO [^;]+; GRANT SELECT ON mysql\.\* TO [^;]+);",
    r"(GRANT CREATE USER, ROLE_ADMIN ON \*\.\* TO [^;]+);",
    r"(GRANT APPLICATION_PASSWORD_ADMIN ON \*\.\* TO [^;]+);",
    r"cannot pass on rights of [^:]+: (GRANT .+? WITH GRANT OPTION)",
    r"(ALTER (?:ROLE|USER) \S+ (?:VALID UNTIL 'infinity'|LOGIN|ACCOUNT UNLOCK|REQUIRE SSL))",
    r"(ALTER USER \S+ IDENTIFIED BY '\.\.\.' PASSWORD EXPIRE NEVER)",
    r"(SET DEFAULT ROLE ALL TO [^.;]+)",
]
"""Where the statements stand in what is told."""


@dataclass
class Fault:
    """What a fault is made with."""

    server: Server
    rotating: Rotating

    def secret(self, **arguments: Any) -> RotatingSecret:  # noqa: ANN401 (as Rotating.secret has them)
        """Make a user and its secret."""
        return self.rotating.secret(self.server, **arguments)

    def alternating(self, **arguments: Any) -> RotatingSecret:  # noqa: ANN401 (likewise)
        """Make a secret of two users that take turns."""
        return self.secret(**{"administrator": True, "strategy": "alternating-users"} | arguments)

    def run(self, statement: str) -> None:
        """Run a statement as the superuser."""
        self.server.execute(statement)

    def weak(self) -> str:
        """Make an administrator who may do nothing, and return his secret's ARN."""
        self.server.create_user(name := new_name("weak"), PASSWORD)
        return self.rotating.administrator(self.server, username=name, password=PASSWORD)


Make = Callable[[Fault], Generator[RotatingSecret]]
FAULTS: list[tuple[str, Make]] = []


def fault(*kinds: str) -> Callable[[Make], Make]:
    """Note a fault for these kinds of servers."""

    def note(make: Make) -> Make:
        FAULTS.extend((kind, make) for kind in kinds)
        return make

    return note


@fault("postgres", "postgres-18", "mysql", "mariadb")
def administrator_without_rights_two_users(fault: Fault) -> Generator[RotatingSecret]:
    """The administrator of two users may do nothing."""
    yield fault.alternating(administrator=fault.weak())


@fault("postgres", "postgres-18", "mysql", "mariadb")
def administrator_without_rights_one_user(fault: Fault) -> Generator[RotatingSecret]:
    """The administrator of one user may do nothing."""
    yield fault.secret(administrator=fault.weak(), strategy="single-user-by-administrator")


@fault("postgres")
def time_is_over(fault: Fault) -> Generator[RotatingSecret]:
    """VALID UNTIL is over, and nobody else can look."""
    secret = fault.secret()
    fault.run(f"""ALTER ROLE "{secret.username}" VALID UNTIL '2020-01-01'""")
    yield secret


@fault("postgres", "postgres-18")
def time_is_over_for_two(fault: Fault) -> Generator[RotatingSecret]:
    """VALID UNTIL of the first of two users is over."""
    secret = fault.alternating()
    fault.run(f"""ALTER ROLE "{secret.username}" VALID UNTIL '2020-01-01'""")
    yield secret


@fault("postgres", "mysql", "mariadb")
def locked(fault: Fault) -> Generator[RotatingSecret]:
    """The first of two users is locked."""
    secret = fault.alternating()
    lock = (
        'ROLE "{}" NOLOGIN' if fault.server.engine == "postgres" else "USER '{}'@'%' ACCOUNT LOCK"
    )
    fault.run(f"ALTER {lock.format(secret.username)}")
    yield secret


@fault("mysql", "mariadb")
def password_expired(fault: Fault) -> Generator[RotatingSecret]:
    """The password has expired."""
    secret = fault.secret()
    fault.run(f"ALTER USER '{secret.username}'@'%' PASSWORD EXPIRE")
    yield secret


@fault("mysql", "mariadb")
def certificate_asked_for(fault: Fault) -> Generator[RotatingSecret]:
    """The account wants a client certificate."""
    secret = fault.secret()
    fault.run(f"ALTER USER '{secret.username}'@'%' REQUIRE X509")
    yield secret


@fault("postgres", "mysql", "mariadb")
def second_user_of_somebody(fault: Fault) -> Generator[RotatingSecret]:
    """A user of the second one's name exists."""
    secret = fault.alternating()
    fault.server.create_user(f"{secret.username}_clone", PASSWORD)
    yield secret


@fault("mysql")
def no_right_to_two_passwords(fault: Fault) -> Generator[RotatingSecret]:
    """The user lacks the right to keep two passwords."""
    yield fault.secret(strategy="dual-password")


@fault("mysql")
def role_not_active(fault: Fault) -> Generator[RotatingSecret]:
    """The first user has a role that is not active by default."""
    secret, role = fault.alternating(), new_name("role")
    fault.run(f"CREATE ROLE '{role}'")
    fault.run(f"GRANT '{role}' TO '{secret.username}'@'%'")
    yield secret


@fault("postgres")
def strategy_that_cannot_be(fault: Fault) -> Generator[RotatingSecret]:
    """PostgreSQL is to give a user two passwords."""
    yield fault.secret(strategy="dual-password")


@fault("postgres")
def misspelt_tag(fault: Fault) -> Generator[RotatingSecret]:
    """A tag's name is misspelt."""
    yield fault.secret(tags={"rotation:stratergy": "single-user"})


@fault("postgres")
def misspelt_value(fault: Fault) -> Generator[RotatingSecret]:
    """A tag's value is misspelt."""
    yield fault.secret(strategy="single")


@fault("postgres", "mysql", "mariadb")
def long_name(fault: Fault) -> Generator[RotatingSecret]:
    """The second user's name is longer than the server allows, or than the engine."""
    yield fault.alternating(tags={"rotation:second-user": "u" * 129})


@fault("mysql")
def name_too_long_for_the_server(fault: Fault) -> Generator[RotatingSecret]:
    """The name is longer than MySQL allows, and not longer than MariaDB does."""
    yield fault.alternating(tags={"rotation:second-user": "u" * 33})


@fault("postgres")
def no_json(fault: Fault) -> Generator[RotatingSecret]:
    """The value is no JSON."""
    secret = fault.secret()
    mended = secret.document()
    secret.store("{")
    yield secret
    secret.store(mended)
    yield secret


@fault("postgres")
def masterarn_names_nothing(fault: Fault) -> Generator[RotatingSecret]:
    """`masterarn` names no secret."""
    secret = fault.alternating(
        administrator="arn:aws:secretsmanager:eu-central-1:1:secret:a-AbCdEf"
    )
    yield secret
    secret.edit(masterarn=fault.rotating.administrator(fault.server))
    yield secret


@fault("postgres")
def ssl_false(fault: Fault) -> Generator[RotatingSecret]:
    """The secret says "ssl": false, and the server demands TLS."""
    secret = fault.secret(ssl=False)
    yield secret
    secret.edit(ssl=None)
    yield secret


def sampled() -> Iterator[object]:
    """Yield each fault on its first kind of server; on the others for `make test-sample`."""
    seen = set()
    for kind, make in FAULTS:
        marks = [pytest.mark.matrix] if make in seen else []
        seen.add(make)
        yield pytest.param(kind, make, id=f"{make.__name__}-{kind}", marks=marks)


@pytest.mark.parametrize(("kind", "make"), list(sampled()))
def test_what_is_told_ends_in_a_rotated_secret(
    kind: str, make: Make, server_of: Callable[[str], Server], rotating: Rotating
) -> None:
    """Whoever types what he is told, and where a value is to be corrected corrects it, rotates."""
    fault = Fault(server_of(kind), rotating)
    steps = make(fault)
    secret = next(steps)
    before = secret.label("AWSCURRENT")
    error: BaseException | None = secret.fails()
    for _ in range(ROUNDS):
        assert isinstance(error, RotationError), error
        if "file://value.json" in error.advice or '"ssl": false' in error.advice:
            next(steps)
            before = secret.label("AWSCURRENT")
        follow(secret, error)
        if secret.label("AWSCURRENT") != before:
            break
        error = secret.service.outcomes[-1].error
    assert secret.label("AWSCURRENT") != before
    assert secret.logs_in()


def follow(secret: RotatingSecret, error: RotationError) -> None:
    """Type what the error tells: statements as a DBA, commands as an operator."""
    told = f"{error.message} {error.advice}".strip().removesuffix(".")
    assert "<ARN>" not in str(error)
    found = (re.search(pattern, told) for pattern in STATEMENTS)
    for statements in (match[1] for match in found if match):
        for each in statements.split("; "):
            password = secret.document()["password"]
            secret.server.execute(each.replace("'...'", f"'{password}'"))
    for command in re.findall(r"`(aws [^`]+)`", f"{error.advice} {error.outcome}"):
        for each in command.split(" && "):
            typed(secret, each)
    secret.service.wait()


def typed(secret: RotatingSecret, command: str) -> None:
    """Run a command of the AWS CLI against the local Secrets Manager."""
    _, service, operation, *words = shlex.split(command)
    assert service == "secretsmanager"
    if "file://value.json" in words:
        return  # the world has stored it
    names = [word.removeprefix("--").title().replace("-", "") for word in words[::2]]
    arguments: dict[str, Any] = dict(zip(names, words[1::2], strict=True))
    if "Tags" in arguments:
        arguments["Tags"] = [dict(each.split("=", 1) for each in arguments["Tags"].split(","))]
    if "TagKeys" in arguments:
        arguments["TagKeys"] = [arguments["TagKeys"]]
    getattr(secret.service.client(), operation.replace("-", "_"))(**arguments)


def test_a_search_in_vain_tells_all_that_it_knows(postgres: Server, rotating: Rotating) -> None:
    """NoLoginWorks tells host, tries, the bound, and what the server said last, with its hint."""
    function = rotating.function(postgres, ROTATION_REFUSED_LOGINS="2")
    secret = rotating.secret(postgres, function=function)
    for number in range(4):
        secret.edit(password=f"the wrong passw0rd {number}")
    error = secret.fails()
    assert isinstance(error, RotationError)
    assert type(error).__name__ == "NoLoginWorks"
    assert f"as {secret.username} at localhost: 2 passwords were refused, of the 2" in error.message
    assert "ROTATION_REFUSED_LOGINS" in error.message
    assert "not tried: whatever is older" in error.message
    assert "28P01" in error.message
    assert f"""ALTER ROLE "{secret.username}" VALID UNTIL 'infinity'""" in error.message


def test_an_administrators_value_is_told_as_his(postgres: Server, rotating: Rotating) -> None:
    """The command that mends the administrator's secret names his, not the rotated one."""
    administrator = rotating.administrator(postgres)
    rotating.service.client().put_secret_value(
        SecretId=administrator, SecretString=json.dumps({"username": "x"})
    )
    secret = rotating.secret(postgres, administrator=administrator, strategy="alternating-users")
    error = secret.fails()
    assert isinstance(error, RotationError)
    assert f"put-secret-value --secret-id {administrator} " in error.advice
