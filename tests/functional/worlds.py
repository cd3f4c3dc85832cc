"""Broken worlds: one for each thing that an examination may find, really made.

Each is a generator that makes the world, yields its secret, and mends what others share. Its
docstring says how it was made; docs/checks.md quotes it.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.proxy import Proxy
from local.secretsmanager import ServiceError
from local.servers import Account, Authority, Server, start
from rotators.mysql.session import lock_name
from rotators.postgres.session import lock_key
from shared.databases import Databases
from shared.errors import LoginRefused
from shared.examination import checks
from shared.model import Login
from shared.rotation import Rotation
from tests.functional.mysql_family import setting
from tests.functional.pooling import pooling
from tests.functional.rotations import Rotating, RotatingSecret, new_name

PASSWORD = "the First passw0rd"


@dataclass
class Scene:
    """What a world is made with.

    Attributes:
        server: The database server; shared by all tests.
        rotating: Makes secrets.
        patch: Undone at the end.
        folder: For files.
        server_of: Other servers.
        examiner: The function that is asked; the secret's own where empty.
    """

    server: Server
    rotating: Rotating
    patch: pytest.MonkeyPatch
    folder: Path
    server_of: Callable[[str], Server]
    examiner: str = ""

    def secret(self, **arguments: Any) -> RotatingSecret:  # noqa: ANN401 (as Rotating.secret has them)
        """Make a user and its secret on the scene's server."""
        return self.rotating.secret(self.server, **arguments)

    def alternating(self, **arguments: Any) -> RotatingSecret:  # noqa: ANN401 (likewise)
        """Make a secret of two users that take turns."""
        return self.secret(administrator=True, strategy="alternating-users", **arguments)

    def run(self, statement: str) -> None:
        """Run a statement as the superuser."""
        self.server.execute(statement)

    def describing(self, **members: object) -> None:
        """Let DescribeSecret tell more than the local Secrets Manager knows of."""
        operations = self.rotating.service._operations
        described = operations._described
        self.patch.setattr(
            operations, "_described", lambda *details: {**described(*details), **members}
        )


Make = Callable[[Scene], Generator[RotatingSecret]]


@dataclass(frozen=True)
class World:
    """One broken world.

    Attributes:
        code: What an examination finds in it, and nothing else above a note.
        check: By which check.
        make: Makes it.
        server: The kind of server.
    """

    code: str
    check: str
    make: Make
    server: str = "postgres"

    @property
    def made(self) -> str:
        """How it is made, in one sentence."""
        return " ".join((self.make.__doc__ or "").split())

    def __str__(self) -> str:
        return f"{self.code}-{self.make.__name__}-{self.server}"


WORLDS: list[World] = []


def world(code: str, check: str, *servers: str) -> Callable[[Make], Make]:
    """Note a world, once for each kind of server."""

    def note(make: Make) -> Make:
        WORLDS.extend(World(code, check, make, server) for server in servers or ("postgres",))
        return make

    return note


# The secret


@world("NotRotatable", "secret")
def no_such_secret(scene: Scene) -> Generator[RotatingSecret]:
    """The secret was deleted at once."""
    secret = scene.secret()
    scene.examiner = scene.rotating.function(scene.server)
    secret.service.client().delete_secret(SecretId=secret.arn, ForceDeleteWithoutRecovery=True)
    yield secret


@world("AccessDenied", "secret")
def denied(scene: Scene) -> Generator[RotatingSecret]:
    """Every call is answered with AccessDeniedException."""
    secret = scene.secret()

    def deny(_operation: str, phase: str, _index: int) -> None:
        if phase == "before":
            raise ServiceError("AccessDeniedException", "User: arn:... is not authorized")

    scene.examiner = scene.rotating.function(scene.server)
    secret.service.on_request = deny
    yield secret
    secret.service.on_request = None


@world("AccessDenied", "value")
def key_denied(scene: Scene) -> Generator[RotatingSecret]:
    """GetSecretValue is refused, as for a KMS key that the role may not use."""
    secret = scene.secret()

    def deny(operation: str, phase: str, _index: int) -> None:
        if (operation, phase) == ("GetSecretValue", "before"):
            raise ServiceError("AccessDeniedException", "Access to KMS is not allowed")

    secret.service.on_request = deny
    yield secret
    secret.service.on_request = None


@world("Throttled", "secret")
def throttled(scene: Scene) -> Generator[RotatingSecret]:
    """Every call is answered with ThrottlingException."""
    secret = scene.secret()
    scene.examiner = scene.rotating.function(scene.server)
    secret.service.throttle = 1.0
    yield secret
    secret.service.throttle = 0.0


@world("ServiceFailed", "secret")
def endpoint_lost(scene: Scene) -> Generator[RotatingSecret]:
    """No call reaches Secrets Manager."""
    secret = scene.secret()
    scene.examiner = scene.rotating.function(scene.server)
    secret.service.fail_before("DescribeSecret", times=99)
    yield secret


@world("ManagedSecret", "kind")
def managed(scene: Scene) -> Generator[RotatingSecret]:
    """RDS owns the secret."""
    secret = scene.secret()
    with secret.service._lock:
        secret.service._operations.find(secret.arn).owning_service = "rds"
    yield secret


@world("PartnerSecret", "kind")
def partners(scene: Scene) -> Generator[RotatingSecret]:
    """DescribeSecret tells a partner's type (a recorded shape)."""
    secret = scene.secret()
    scene.describing(Type="SalesforceClientSecret")
    yield secret


@world("ReplicaSecret", "kind")
def replica(scene: Scene) -> Generator[RotatingSecret]:
    """DescribeSecret tells a primary in another Region (a recorded shape)."""
    secret = scene.secret()
    scene.describing(PrimaryRegion="eu-west-1")
    yield secret


@world("AnotherFunction", "kind")
def anothers(scene: Scene) -> Generator[RotatingSecret]:
    """Another function than the one that is asked is attached."""
    scene.examiner = scene.rotating.function(scene.server)
    yield scene.secret()


@world("RotationNotEnabled", "kind")
def detached(scene: Scene) -> Generator[RotatingSecret]:
    """Rotation was cancelled."""
    secret = scene.secret()
    scene.examiner = scene.rotating.function(scene.server)
    function = secret.service.client().describe_secret(SecretId=secret.arn)["RotationLambdaARN"]
    scene.examiner = function
    secret.service.client().cancel_rotate_secret(SecretId=secret.arn)
    yield secret


@world("BadSetting", "tags")
def misspelt_tag(scene: Scene) -> Generator[RotatingSecret]:
    """A tag is misspelt: rotation:stratergy."""
    yield scene.secret(tags={"rotation:stratergy": "single-user"})


@world("BadSetting", "settings")
def misspelt_variable(scene: Scene) -> Generator[RotatingSecret]:
    """A variable of the function has an impossible value."""
    function = scene.rotating.function(scene.server, PASSWORD_LENGTH="7")
    yield scene.secret(function=function)


@world("AttemptUnfinished", "attempts")
def stuck(scene: Scene) -> Generator[RotatingSecret]:
    """AWSPENDING is left on a version of an attempt that went no further than createSecret."""
    secret = scene.secret()
    secret.step(secret.prepare(), "createSecret")
    yield secret


@world("ForeignPending", "attempts")
def foreign_pending(scene: Scene) -> Generator[RotatingSecret]:
    """AWSPENDING is on a value that something else has stored."""
    secret = scene.secret()
    secret.service.client().put_secret_value(
        SecretId=secret.arn,
        ClientRequestToken=secret.prepare(),
        SecretString=json.dumps({**secret.document(), "password": "somebody's own choice"}),
        VersionStages=["AWSPENDING"],
    )
    yield secret


@world("TooManyLabels", "attempts")
def labels(scene: Scene) -> Generator[RotatingSecret]:
    """Eighteen labels of the owner's are on AWSCURRENT."""
    secret = scene.secret()
    current = str(secret.label("AWSCURRENT"))
    for number in range(18):
        secret.service.client().update_secret_version_stage(
            SecretId=secret.arn, VersionStage=f"own-{number}", MoveToVersionId=current
        )
    yield secret


@world("BadSecret", "value")
def no_host(scene: Scene) -> Generator[RotatingSecret]:
    """The value has no `host`."""
    secret = scene.secret()
    document = secret.document()
    del document["host"]
    secret.store(document)
    yield secret


@world("BadSecret", "value")
def not_json(scene: Scene) -> Generator[RotatingSecret]:
    """The value is not JSON."""
    secret = scene.secret()
    secret.store("host=localhost")
    yield secret


@world("WrongEngine", "engine")
def wrong_engine(scene: Scene) -> Generator[RotatingSecret]:
    """The value says another engine than the function's."""
    yield scene.secret(engine="oracle")


@world("RdsProxy", "address")
def rds_proxy(scene: Scene) -> Generator[RotatingSecret]:
    """`host` is the name of an RDS Proxy."""
    yield scene.secret(host="app.proxy-cxyz01234567.eu-central-1.rds.amazonaws.com")


@world("StrategyNeedsAdministrator", "strategy")
def no_administrator(scene: Scene) -> Generator[RotatingSecret]:
    """Two users are to take turns, and the secret names no administrator."""
    yield scene.secret(strategy="alternating-users")


@world("CapabilityMissing", "strategy")
def no_second_password(scene: Scene) -> Generator[RotatingSecret]:
    """PostgreSQL is to give a user two passwords."""
    yield scene.secret(strategy="dual-password")


@world("StrategyNeedsAdministrator", "capability", "mariadb")
def engine_left_open(scene: Scene) -> Generator[RotatingSecret]:
    """The user is to set two passwords; the secret does not say that the server is MariaDB."""
    yield scene.secret(strategy="dual-password", engine="")


@world("NameTooLong", "strategy", "postgres")
def long_name(scene: Scene) -> Generator[RotatingSecret]:
    """The tag names a second user of more bytes than a role's name may have."""
    yield scene.alternating(tags={"rotation:second-user": "u" * 64})


@world("ReplicaBehind", "replicas")
def replica_behind(scene: Scene) -> Generator[RotatingSecret]:
    """DescribeSecret tells a replica that is not in sync (a recorded shape)."""
    secret = scene.alternating()
    scene.describing(ReplicationStatus=[{"Region": "eu-west-1", "Status": "Failed"}])
    yield secret


@world("ReplicaBehind", "replicas")
def replica_behind_one_user(scene: Scene) -> Generator[RotatingSecret]:
    """The same for one user, whose rotation goes on."""
    secret = scene.secret()
    scene.describing(ReplicationStatus=[{"Region": "eu-west-1", "Status": "InProgress"}])
    yield secret


# The way to the server


@world("NameNotResolved", "name", "postgres", "mysql", "mariadb")
def unknown_name(scene: Scene) -> Generator[RotatingSecret]:
    """`host` is a name that DNS does not know."""
    yield scene.secret(host="database.invalid")


@world("Unreachable", "server", "postgres", "mysql", "mariadb")
def closed_port(scene: Scene) -> Generator[RotatingSecret]:
    """Nobody listens at the port."""
    with Proxy("localhost", scene.server.port) as proxy:
        proxy.refuse()
        yield scene.secret(port=proxy.port)


@world("Unreachable", "server", "postgres", "mysql")
def silent_host(scene: Scene) -> Generator[RotatingSecret]:
    """Whoever listens at the port never answers."""
    function = scene.rotating.function(scene.server, timeout_seconds=8)
    with Proxy("localhost", scene.server.port) as proxy:
        proxy.black_hole()
        yield scene.secret(port=proxy.port, function=function)


@world("OutOfTime", "name")
def no_time(scene: Scene) -> Generator[RotatingSecret]:
    """The function's time is over when the database's turn comes."""
    yield scene.secret(function=scene.rotating.function(scene.server, timeout_seconds=1))


HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
"""A fatal alert, as a server answers that has no cipher in common (RFC 8446 section 6)."""


@world("TlsFailed", "server")
def no_common_cipher(scene: Scene) -> Generator[RotatingSecret]:
    """The server ends the TLS handshake, as one does that has no cipher in common (a stand-in)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(8)
                client.sendall(b"S")
                client.recv(65536)
                client.sendall(HANDSHAKE_FAILURE)
                client.recv(65536)

        threading.Thread(target=refuse, daemon=True).start()
        yield scene.secret(port=listener.getsockname()[1])


@world("TlsNotOffered", "server", "postgres")
def without_tls(scene: Scene) -> Generator[RotatingSecret]:
    """The server does not speak TLS."""
    with start(scene.server.kind, tls=False) as plain:
        function = scene.rotating.function(scene.server)
        yield scene.rotating.secret(plain, function=function)


@world("Plaintext", "server")
def plaintext(scene: Scene) -> Generator[RotatingSecret]:
    """The secret says "ssl": false, and the server takes it."""
    with start(scene.server.kind, tls=False) as plain:
        function = scene.rotating.function(scene.server)
        yield scene.rotating.secret(plain, function=function, ssl=False)


@world("TlsRequired", "server", "postgres")
def tls_required(scene: Scene) -> Generator[RotatingSecret]:
    """The secret says "ssl": false, and the server demands TLS."""
    yield scene.secret(ssl=False)


@world("CertificateUntrusted", "server", "postgres", "mysql", "mariadb")
def other_authority(scene: Scene) -> Generator[RotatingSecret]:
    """Another authority has signed the certificate."""
    file = scene.folder / "ca.pem"
    file.write_bytes(Authority().certificate)
    function = scene.rotating.function(scene.server, DATABASE_CA_FILE=str(file))
    yield scene.secret(function=function)


@world("HostNameMismatch", "server", "postgres")
def other_name(scene: Scene) -> Generator[RotatingSecret]:
    """The certificate is made out to another name."""
    with start(scene.server.kind, certificate_names=["elsewhere.example"]) as elsewhere:
        yield scene.rotating.secret(elsewhere)


@world("CertificateEndsSoon", "certificate", "postgres", "mysql", "mariadb")
def certificate_ends(scene: Scene) -> Generator[RotatingSecret]:
    """The server's certificate ends in nine days."""
    with start(scene.server.kind) as server:
        authority, home = Authority(), server._home  # type: ignore[attr-defined]
        credentials = authority.issue(valid_for=timedelta(days=9, hours=1))
        (home / "certificate.pem").write_bytes(credentials.certificate)
        (home / "key.pem").write_bytes(credentials.private_key)
        server.ca_file.write_bytes(authority.certificate)
        server.restart()
        yield scene.rotating.secret(server)


@world("Pooler", "pooler")
def pooler(scene: Scene) -> Generator[RotatingSecret]:
    """A stand-in for PgBouncer: it gives its clients process ids of its own making."""
    file = scene.folder / "pooler.pem"
    with start("postgres", tls=False) as server, pooling(server, file) as port:
        function = scene.rotating.function(scene.server, DATABASE_CA_FILE=str(file))
        yield scene.rotating.secret(server, port=port, function=function)


@world("ServerReadOnly", "writer", "postgres", "mysql", "mariadb")
def read_only(scene: Scene) -> Generator[RotatingSecret]:
    """The server is a standby, or read-only."""
    if scene.server.engine != "postgres":
        secret = scene.secret()
        with setting(scene.server, "read_only", 1):
            yield secret
        return
    with start(scene.server.kind) as standby:
        secret = scene.rotating.secret(standby)
        standby.set_read_only(True)
        yield secret


# The user


@world("LoginRefused", "login", "postgres", "mysql", "mariadb")
def wrong_password(scene: Scene) -> Generator[RotatingSecret]:
    """AWSCURRENT holds another password than the database, and nobody can set it."""
    secret = scene.secret()
    secret.edit(password="not the passw0rd")
    yield secret


@world("CurrentRefused", "login", "postgres", "mysql", "mariadb")
def wrong_password_with_administrator(scene: Scene) -> Generator[RotatingSecret]:
    """AWSCURRENT holds another password than the database; the secret names an administrator."""
    secret = scene.secret(administrator=True, strategy="single-user")
    secret.edit(password="not the passw0rd")
    yield secret


@world("AccountLocked", "login", "postgres", "mysql", "mariadb")
def locked(scene: Scene) -> Generator[RotatingSecret]:
    """A DBA has locked the account."""
    secret = scene.secret()
    lock_account(scene.server, secret.username)
    yield secret


@world("AccountLocked", "account", "postgres", "mysql", "mariadb")
def locked_first(scene: Scene) -> Generator[RotatingSecret]:
    """A DBA has locked the first of two users that take turns; the second is in use."""
    secret = scene.alternating()
    first = secret.username
    secret.rotate()
    lock_account(scene.server, first)
    yield secret


def lock_account(server: Server, username: str) -> None:
    """Lock an account, as a DBA does."""
    if server.engine == "postgres":
        server.execute(f'ALTER ROLE "{username}" NOLOGIN')
    else:
        server.execute(f"ALTER USER '{username}'@'%' ACCOUNT LOCK")


@world("AccountExpired", "account")
def expired(scene: Scene) -> Generator[RotatingSecret]:
    """The role's VALID UNTIL is over."""
    secret = scene.secret(administrator=True, strategy="single-user")
    scene.run(f"""ALTER ROLE "{secret.username}" VALID UNTIL '2020-01-01'""")
    yield secret


@world("AccountEndsSoon", "expiry")
def expires(scene: Scene) -> Generator[RotatingSecret]:
    """The role's VALID UNTIL is in a week."""
    secret = scene.secret()
    ((until,),) = scene.server.execute("SELECT (now() + interval '7 days 1 hour')::text")
    scene.run(f"""ALTER ROLE "{secret.username}" VALID UNTIL '{until}'""")
    yield secret


@world("AccountMissing", "account", "postgres", "mysql", "mariadb")
def no_such_user(scene: Scene) -> Generator[RotatingSecret]:
    """There is no such user."""
    yield scene.secret(administrator=True, strategy="single-user", create_user=False)


@world("PasswordExpired", "login", "mysql", "mariadb")
def password_expired(scene: Scene) -> Generator[RotatingSecret]:
    """The account's password has expired, and nobody else can set it."""
    secret = scene.secret()
    scene.run(f"ALTER USER '{secret.username}'@'%' PASSWORD EXPIRE")
    yield secret


@world("AccountUnusable", "login", "mysql")
def other_plugin(scene: Scene) -> Generator[RotatingSecret]:
    """The account's row names a plugin that the server has no more, as after an upgrade."""
    secret = scene.secret()
    scene.run(
        "UPDATE mysql.user SET plugin = 'mysql_native_password', authentication_string = "
        f"'*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' WHERE User = '{secret.username}'"
    )
    scene.run("FLUSH PRIVILEGES")
    yield secret


@world("PasswordNotAsked", "login")
def trusted(scene: Scene) -> Generator[RotatingSecret]:
    """pg_hba.conf asks the role for no password."""
    secret = scene.secret()
    path: Path = scene.server._data / "pg_hba.conf"  # type: ignore[attr-defined]
    before = path.read_text()
    path.write_text(f"hostssl all {secret.username} 127.0.0.1/32 trust\n{before}")
    reload(scene.server)
    try:
        yield secret
    finally:
        path.write_text(before)
        reload(scene.server)


def reload(server: Server) -> None:
    """Have PostgreSQL read its files again, and see to it that it has."""
    ((before,),) = server.execute("SELECT pg_conf_load_time()")
    server.execute("SELECT pg_reload_conf()")
    for _ in range(200):
        if server.execute("SELECT pg_conf_load_time()") != [(before,)]:
            break
    threading.Event().wait(0.1)


@world("ServerBusy", "login")
def no_connection_left(scene: Scene) -> Generator[RotatingSecret]:
    """The role has CONNECTION LIMIT 0."""
    secret = scene.secret()
    scene.run(f'ALTER ROLE "{secret.username}" CONNECTION LIMIT 0')
    yield secret


@world("StatementFailed", "login", "postgres", "mysql")
def no_such_database(scene: Scene) -> Generator[RotatingSecret]:
    """`dbname` names a database that does not exist."""
    secret = scene.secret()
    if scene.server.engine == "mysql":
        scene.run(f"GRANT ALL ON nosuch.* TO '{secret.username}'@'%'")
    secret.edit(dbname="nosuch")
    yield secret


# The administrator


@world("NotRotatable", "administrator")
def no_such_administrator(scene: Scene) -> Generator[RotatingSecret]:
    """`masterarn` names no secret."""
    yield scene.secret(administrator="arn:aws:secretsmanager:eu-central-1:1:secret:none-AbCdEf")


@world("AdministratorIsUser", "administrator")
def his_own_administrator(scene: Scene) -> Generator[RotatingSecret]:
    """`masterarn` names the secret itself."""
    secret = scene.secret(strategy="single-user-by-administrator", masterarn="later")
    secret.edit(masterarn=secret.arn)
    yield secret


@world("AdministratorUnproven", "administrator")
def administrator_elsewhere(scene: Scene) -> Generator[RotatingSecret]:
    """The administrator's secret names another host."""
    administrator = scene.rotating.administrator(scene.server, host="elsewhere.example")
    yield scene.secret(administrator=administrator)


@world("LoginRefused", "administrators-login", "postgres", "mysql", "mariadb")
def administrator_refused(scene: Scene) -> Generator[RotatingSecret]:
    """The administrator's secret holds a wrong password."""
    administrator = scene.rotating.administrator(scene.server, password="not his passw0rd")
    yield scene.secret(administrator=administrator, strategy="alternating-users")


@world("PermissionDenied", "rights", "postgres", "postgres-18", "mysql", "mariadb")
def administrator_without_rights(scene: Scene) -> Generator[RotatingSecret]:
    """The administrator may log in and look, and nothing else."""
    yield scene.secret(administrator=weak_administrator(scene), strategy="alternating-users")


@world("PermissionDenied", "rights", "postgres-18", "mysql", "mariadb")
def administrator_without_rights_for_one_user(scene: Scene) -> Generator[RotatingSecret]:
    """The same where he changes the password of one user."""
    yield scene.secret(
        administrator=weak_administrator(scene), strategy="single-user-by-administrator"
    )


def weak_administrator(scene: Scene) -> str:
    """Make an administrator who lacks what his work needs, and return his secret's ARN."""
    name, server = new_name("weak"), scene.server
    server.create_user(name, PASSWORD)
    if server.engine != "postgres":
        server.execute(f"GRANT SELECT ON mysql.* TO '{name}'@'%'")
    return scene.rotating.administrator(server, username=name, password=PASSWORD)


@world("PermissionDenied", "rights", "mysql")
def no_right_to_a_second_password(scene: Scene) -> Generator[RotatingSecret]:
    """The user is to keep two passwords, and lacks APPLICATION_PASSWORD_ADMIN."""
    yield scene.secret(strategy="dual-password")


@world("RightsDiffer", "rights", "postgres", "postgres-18")
def attribute(scene: Scene) -> Generator[RotatingSecret]:
    """The first user has REPLICATION, which the administrator may not give."""
    secret = scene.alternating()
    scene.run(f'ALTER ROLE "{secret.username}" REPLICATION')
    yield secret


@world("RightsDiffer", "rights", "postgres", "postgres-18")
def owns_something(scene: Scene) -> Generator[RotatingSecret]:
    """The second user, idle, owns a table by itself."""
    secret = scene.alternating()
    first = secret.username
    secret.rotate()
    secret.rotate()
    scene.run(f'CREATE TABLE "t_{first}" ()')
    scene.run(f'ALTER TABLE "t_{first}" OWNER TO "{first}_clone"')
    yield secret
    scene.run(f'DROP TABLE "t_{first}"')


@world("RightsDiffer", "rights", "mysql")
def role_not_active(scene: Scene) -> Generator[RotatingSecret]:
    """The first user has a role that is not active by default."""
    secret = scene.alternating()
    role = new_name("role")
    scene.run(f"CREATE ROLE '{role}'")
    scene.run(f"GRANT '{role}' TO '{secret.username}'@'%'")
    yield secret


@world("RightsDiffer", "rights", "mariadb")
def right_not_his(scene: Scene) -> Generator[RotatingSecret]:
    """The first user has a right that the administrator does not hold."""
    secret = scene.alternating()
    scene.run(f"GRANT SUPER ON *.* TO '{secret.username}'@'%'")
    yield secret


@world("UselessRights", "rights", "postgres")
def useless(scene: Scene) -> Generator[RotatingSecret]:
    """The second user was granted something by itself."""
    secret = scene.alternating()
    first = secret.username
    secret.rotate()
    secret.rotate()
    scene.run(f'CREATE TABLE "g_{first}" ()')
    scene.run(f'GRANT SELECT ON "g_{first}" TO "{first}_clone"')
    yield secret
    scene.run(f'DROP TABLE "g_{first}"')


# Two users


@world("NotOurUser", "second-user", "postgres", "mysql", "mariadb")
def foreign_second(scene: Scene) -> Generator[RotatingSecret]:
    """Somebody else has made a user of the second one's name."""
    secret = scene.alternating()
    scene.server.create_user(f"{secret.username}_clone", PASSWORD)
    yield secret


@world("AccountMissing", "second-user")
def second_left_to_a_dba(scene: Scene) -> Generator[RotatingSecret]:
    """A DBA is to make the second user, and has not."""
    yield scene.alternating(tags={"rotation:rights": "untouched"})


@contextlib.contextmanager
def idle_in_use(secret: RotatingSecret) -> Iterator[None]:
    """Keep a session of the user whose turn it is open."""
    old = secret.document("AWSPREVIOUS")
    account = Account(old["username"], old["password"])
    connection = secret.server._client.connect(account, secret.server.database)  # type: ignore[attr-defined]
    with contextlib.closing(connection):
        yield


@world("IdleUserHasSessions", "idle-user", "postgres", "mysql", "mariadb")
def idle_user_in_use(scene: Scene) -> Generator[RotatingSecret]:
    """An application still has a session of the user whose turn it is."""
    secret = scene.alternating()
    secret.rotate()
    with idle_in_use(secret):
        yield secret


@world("IdleUserInUse", "idle-user")
def idle_user_in_use_refused(scene: Scene) -> Generator[RotatingSecret]:
    """The same, and the tag says to refuse then."""
    secret = scene.alternating()
    secret.rotate()
    secret.tag(in_use="refuse")
    with idle_in_use(secret):
        yield secret


# The rest


@world("ReaderBehind", "readers")
def reader_behind(scene: Scene) -> Generator[RotatingSecret]:
    """A reader that the tag lists refuses the password (a stand-in for one that lags behind)."""
    scene.patch.setattr("shared.settings.related_hosts", lambda *_: True)
    require_login = Databases.require_login

    def lag(self: Databases, rotation: Rotation, login: Login) -> str | None:
        if login.host == "reader.example":
            raise LoginRefused("It was refused.")
        return require_login(self, rotation, login)

    scene.patch.setattr(Databases, "require_login", lag)
    yield scene.secret(tags={"rotation:reader-hosts": "reader.example"})


@world("NameNotResolved", "readers")
def reader_unknown(scene: Scene) -> Generator[RotatingSecret]:
    """A reader that the tag lists is a name that DNS does not know."""
    scene.patch.setattr("shared.settings.related_hosts", lambda *_: True)
    yield scene.secret(tags={"rotation:reader-hosts": "reader.invalid"})


@world("LockHeld", "lock", "postgres", "mysql", "mariadb")
def lock_held(scene: Scene) -> Generator[RotatingSecret]:
    """Another session holds the rotation's lock."""
    secret, server = scene.secret(), scene.server
    connection = server._client.connect(server.superuser, server.database)  # type: ignore[attr-defined]
    with contextlib.closing(connection), connection.cursor() as cursor:
        if server.engine == "postgres":
            cursor.execute("SELECT pg_advisory_lock(%s)", (lock_key(secret.arn),))
        else:
            cursor.execute("SELECT GET_LOCK(%s, 0)", (lock_name(secret.arn),))
        yield secret


@world("PasswordRejected", "password-policy", "mysql")
def policy(scene: Scene) -> Generator[RotatingSecret]:
    """validate_password asks for more digits than generated passwords have."""
    secret = scene.secret()
    scene.run("INSTALL COMPONENT 'file://component_validate_password'")
    try:
        scene.run("SET GLOBAL validate_password.number_count = 40")
        yield secret
    finally:
        scene.run("UNINSTALL COMPONENT 'file://component_validate_password'")


@world("DatabaseSlow", "time")
def slow_database(scene: Scene) -> Generator[RotatingSecret]:
    """Each message from the server takes long on its way."""
    function = scene.rotating.function(scene.server, timeout_seconds=10)

    def wait(_direction: object, _index: int) -> None:
        threading.Event().wait(0.05)

    with Proxy("localhost", scene.server.port, on_message=wait) as proxy:
        yield scene.secret(port=proxy.port, function=function)


@world("SecretsManagerSlow", "time")
def slow_endpoint(scene: Scene) -> Generator[RotatingSecret]:
    """Secrets Manager takes long for each answer."""
    secret = scene.secret(function=scene.rotating.function(scene.server, timeout_seconds=10))

    def wait(_operation: str, phase: str, _index: int) -> None:
        if phase == "before":
            threading.Event().wait(0.3)

    secret.service.on_request = wait
    yield secret
    secret.service.on_request = None


@world("CheckFailed", "replicas")
def defect(scene: Scene) -> Generator[RotatingSecret]:
    """A check is made to divide by zero."""
    scene.patch.setattr(checks, "require_replicas_in_sync", lambda _description: 1 / 0)
    yield scene.secret()
