"""Hosts, grants, hashes and versions of the MySQL family: the parts that need no server."""

import json
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.mysql.connection import Account
from rotators.mysql.hosts import has_wildcard, host_fits, lends, like, patterns_overlap
from rotators.mysql.mariadb_accounts import Way, count_passwords, identified
from rotators.mysql.mariadb_mark import mark_name
from rotators.mysql.mysql import MysqlPairRights
from rotators.mysql.mysql_accounts import has_conditions, mark_of, marking, version_numbers
from rotators.mysql.mysql_grants import MysqlRight, implied, read_grants
from rotators.mysql.password_hashes import fits, native_hash, sha256_crypt
from rotators.mysql.rotator import MysqlRotator
from rotators.mysql.session import LONGEST_LOCK_NAME, AccountRecord, best_fit, lock_name
from shared.session import Pair

PAIR = Pair("app", "app_clone", "arn:aws:secretsmanager:eu-central-1:1:secret:app-AbCdEf")


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
    [
        ("%", "10.1.2.3", True),
        ("", "10.1.2.3", True),
        ("10.%", "10.1.2.3", True),
        ("10.%", "110.1.2.3", False),
        ("10.1.2._", "10.1.2.3", True),
        ("10.1.2._", "10.1.2.33", False),
        ("10.0.0.0/255.0.0.0", "10.9.9.9", True),
        ("10.0.0.0/8", "11.9.9.9", False),
        ("10.0.0.0/8", "db.example", False),
        ("no/network", "10.0.0.1", False),
        ("DB.Example", "db.example", True),
        ("%.example", "db.example", True),
        ("localhost", "127.0.0.1", False),
    ],
)
def test_host_fits(pattern: str, host: str, fits: bool) -> None:
    """An account's host is compared with the client's as the servers do it."""
    assert host_fits(pattern, host) is fits


def test_best_fit_is_the_narrowest() -> None:
    """Of several accounts the one with the narrowest host is taken, as for a login."""
    hosts = ["%", "10.%", "10.1.%", "10.1.2.3", "192.168.%"]
    known = [AccountRecord(Account("app", host), {}, "", True, {}) for host in hosts]
    for client, expected in (
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.9.9", "10.1.%"),
        ("10.9.9.9", "10.%"),
        ("172.16.0.1", "%"),
    ):
        found = best_fit(known, client)
        assert found is not None
        assert found.account.host == expected
    assert best_fit(known[-1:], "10.0.0.1") is None


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("%", "10.%", True),
        ("%", "10.1.2.3", True),
        ("10.%", "%", False),
        ("10.%", "10.1.2.3", True),
        ("10.%", "192.168.%", False),
        ("10.1.2.3", "10.%", False),
        ("%", "%", False),
        ("%", "10.0.0.0/255.0.0.0", True),
    ],
)
def test_lending(wide: str, narrow: str, expected: bool) -> None:
    """Rights are lent by accounts for wider hosts only, where some client fits both."""
    assert lends(wide, narrow) is expected


@given(st.text(alphabet="ab%_\\", max_size=6), st.text(alphabet="ab%_", max_size=6))
def test_like_agrees_with_overlap(pattern: str, text: str) -> None:
    """A name that fits a pattern overlaps with it, and one that does not fit does not."""
    literal = text.replace("%", r"\%").replace("_", r"\_")
    if pattern.replace("\\\\", "").endswith("\\"):
        pattern += "a"
    assert patterns_overlap(pattern, literal) is like(pattern, text)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a%", "%b", True),
        ("a%", "b%", False),
        ("a_", "ab", True),
        (r"a\_", "ab", False),
        (r"a\_%", "a_x", True),
        ("%", "", True),
        ("a", "a%", True),
        ("app", "app2", False),
    ],
)
def test_patterns_overlap(one: str, other: str, overlap: bool) -> None:
    """Two patterns overlap if some name fits both, whichever comes first."""
    assert patterns_overlap(one, other) is overlap
    assert patterns_overlap(other, one) is overlap


def test_wildcards_are_seen() -> None:
    """An escaped wildcard is none."""
    assert has_wildcard("a_b")
    assert has_wildcard("a%")
    assert not has_wildcard(r"a\_b\%")


LINES = {
    "GRANT USAGE ON *.* TO `a`@`%`": set(),
    "GRANT SELECT, CREATE TEMPORARY TABLES ON *.* TO `a`@`%` WITH GRANT OPTION": {
        MysqlRight("GRANT", "SELECT", "*.*"),
        MysqlRight("GRANT", "CREATE TEMPORARY TABLES", "*.*"),
        MysqlRight("GRANT", "GRANT OPTION", "*.*"),
    },
    "GRANT BACKUP_ADMIN,ROLE_ADMIN ON *.* TO `a`@`%`": {
        MysqlRight("GRANT", "BACKUP_ADMIN", "*.*"),
        MysqlRight("GRANT", "ROLE_ADMIN", "*.*"),
    },
    "GRANT SELECT (`x`, `y``, z`), INSERT ON `d ON e`.`t`` TO ` TO `a`@`%`": {
        MysqlRight("GRANT", "SELECT (`x`)", "`d ON e`.`t`` TO `"),
        MysqlRight("GRANT", "SELECT (`y``, z`)", "`d ON e`.`t`` TO `"),
        MysqlRight("GRANT", "INSERT", "`d ON e`.`t`` TO `"),
    },
    "GRANT EXECUTE ON PROCEDURE `d`.`p` TO `a`@`%`": {
        MysqlRight("GRANT", "EXECUTE", "PROCEDURE `d`.`p`")
    },
    "REVOKE INSERT ON `mysql`.* FROM `a`@`%`": {MysqlRight("REVOKE", "INSERT", "`mysql`.*")},
    "GRANT `r`@`%`,`s`@`10.%` TO `a`@`%` WITH ADMIN OPTION": {
        MysqlRight("GRANT", "`r`@`%` WITH ADMIN OPTION", ""),
        MysqlRight("GRANT", "`s`@`10.%` WITH ADMIN OPTION", ""),
    },
    "GRANT PROXY ON `b`@`%` TO `a`@`%`": {MysqlRight("GRANT", "PROXY", "`b`@`%`")},
}


@pytest.mark.parametrize("line", LINES)
def test_read_grants(line: str) -> None:
    """Every form of a line of SHOW GRANTS is taken apart, names with any content included."""
    assert read_grants([line]) == LINES[line]


def test_unknown_line_is_kept() -> None:
    """A form that is not known yet still compares, whoever it is about."""
    one = read_grants(["GRANT SOMETHING NEW `x` TO `a`@`%`"])
    assert one == read_grants(["GRANT SOMETHING NEW `x` TO `b`@`%`"])
    assert one != read_grants(["GRANT SOMETHING NEW `y` TO `b`@`%`"])


@pytest.mark.parametrize(
    ("right", "reverse", "statement"),
    [
        (
            MysqlRight("GRANT", "SELECT (`a`)", "`d`.`t`"),
            False,
            "GRANT SELECT (`a`) ON `d`.`t` TO x",
        ),
        (MysqlRight("GRANT", "SELECT", "*.*"), True, "REVOKE SELECT ON *.* FROM x"),
        (
            MysqlRight("GRANT", "GRANT OPTION", "`d`.*"),
            False,
            "GRANT USAGE ON `d`.* TO x WITH GRANT OPTION",
        ),
        (MysqlRight("GRANT", "GRANT OPTION", "`d`.*"), True, "REVOKE GRANT OPTION ON `d`.* FROM x"),
        (MysqlRight("GRANT", "`r`@`%` WITH ADMIN OPTION", ""), True, "REVOKE `r`@`%` FROM x"),
        (
            MysqlRight("GRANT", "`r`@`%` WITH ADMIN OPTION", ""),
            False,
            "GRANT `r`@`%` TO x WITH ADMIN OPTION",
        ),
        (MysqlRight("REVOKE", "INSERT", "`d`.*"), True, "GRANT INSERT ON `d`.* TO x"),
    ],
)
def test_statements(right: MysqlRight, reverse: bool, statement: str) -> None:
    """A right knows the statement that gives it, and the one that takes it."""
    assert right.statement("x", reverse=reverse) == statement


def test_wider_rights_cover_routines() -> None:
    """A right to a routine is had through its database or the server, unless revoked in part."""
    right = MysqlRight("GRANT", "EXECUTE", "PROCEDURE `d1`.`p`")
    for wide in ("*.*", "`d1`.*", "`d_`.*"):
        assert implied(right, {MysqlRight("GRANT", "EXECUTE", wide)})
        assert implied(right, {MysqlRight("GRANT", "ALL PRIVILEGES", wide)})
    assert not implied(right, {MysqlRight("GRANT", "EXECUTE", "`d2`.*")})
    assert not implied(right, {MysqlRight("GRANT", "SELECT", "*.*")})
    revoked = MysqlRight("REVOKE", "EXECUTE", "`d1`.*")
    assert not implied(right, {MysqlRight("GRANT", "EXECUTE", "*.*"), revoked})
    assert not implied(
        MysqlRight("GRANT", "SELECT", "`d1`.*"), {MysqlRight("GRANT", "SELECT", "*.*")}
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("9.7.4-2", (9, 7, 4)),
        ("8.0.36", (8, 0, 36)),
        ("8.4.3-azure", (8, 4, 3)),
        ("8.0.mysql_aurora.3.05.2", (8, 0, 23)),
        ("8.0.28-rds.1", (8, 0, 28)),
        ("", ()),
    ],
)
def test_versions(version: str, expected: tuple[int, ...]) -> None:
    """Version strings of all makes are read up to what is no number."""
    assert version_numbers(version) == expected


CACHING = "caching_sha2_password"
KEPT = (
    (b"$A$005$", b"salt with 20 bytes..", 5000),
    (b"$A$00A$", b"\x01\x02'\"\\%_ 0123456789ab", 10_000),
)


@pytest.mark.parametrize(("prefix", "salt", "rounds"), KEPT)
def test_caching_sha2(prefix: bytes, salt: bytes, rounds: int) -> None:
    """A password fits its own hash and no other."""
    kept = prefix + salt + sha256_crypt("pässword".encode(), salt, rounds)
    assert len(kept) == 70
    assert fits("pässword", CACHING, kept)
    assert not fits("password", CACHING, kept)
    assert not fits("pässword", CACHING, kept[:-1])
    assert not fits("pässword", CACHING, b"*" + b"0" * 40)
    assert not fits("pässword", CACHING, b"$A$xyz$" + kept[7:])


@pytest.mark.parametrize(
    ("salt", "rounds", "password", "expected"),
    [
        ("saltstring", 5000, "Hello world!", "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        ("abcdefgh", 5000, "pä", "L44GUbGel8/nZf5moM6nqlnuQoL67hnfUPes9QZEAz0"),
        ("abcdefghijklmnop", 5000, "x" * 100, "eq0z.PIuAZvCCSUXhAcrIS5rtAk4zxY4tlzXoWXdQO5"),
        ("saltstringsaltst", 10_000, "Hello world!", "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
    ],
)
def test_sha_crypt(salt: str, rounds: int, password: str, expected: str) -> None:
    """What `openssl passwd -5` makes of a password comes out, whatever the rounds and lengths."""
    found = sha256_crypt(password.encode(), salt.encode(), rounds)
    assert found == expected.encode()


def test_native_hash() -> None:
    """The native hash is the one in MariaDB's documentation of PASSWORD()."""
    kept = "*3A70EE9FC6594F88CE9E959CD51C5A1C002DC937"
    assert native_hash("notagoodpwd") == kept
    assert fits("notagoodpwd", "mysql_native_password", kept.encode())
    assert not fits("x", "mysql_native_password", kept.encode())


def test_rights_are_asked_for_once_for_each_set_of_roles() -> None:
    """What an account may do is kept by the roles that it was asked with, whatever their number."""
    account, one, other = (Account(name, "%") for name in ("app", "one", "other"))
    asked = []

    def show_grants(account: Account, active: Collection[Account]) -> set[MysqlRight]:
        asked.append(active)
        return {MysqlRight("GRANT", f"RIGHT OF {role.user}", "*.*") for role in active}

    default = {account: {one}}
    rights = MysqlPairRights({}, default, reads_patterns=True, show_grants=show_grants)
    for _ in range(2):
        assert {right.privilege for right in rights.effective(account)} == {"RIGHT OF one"}
        assert rights.own(account) == set()
    default[account] = {other}
    assert {right.privilege for right in rights.effective(account)} == {"RIGHT OF other"}
    assert asked == [{one}, set(), {other}]


def test_mark() -> None:
    """A MySQL mark is found again beside other attributes; anything else is none of ours."""
    kept = {"metadata": json.loads(marking(PAIR)), "Password_locking": {}}
    assert mark_of({"User_attributes": json.dumps(kept)}) == (PAIR.owner, "app")
    for text in (None, "", "{}", '{"metadata": {"secret-rotation": 1}}', '{"metadata": {"a": 1}}'):
        assert mark_of({"User_attributes": text}) is None


def test_conditions_in_the_mark() -> None:
    """The mark tells whether an account still works under the conditions it was given."""
    row = {"User_attributes": json.dumps({"metadata": json.loads(marking(PAIR, "REQUIRE SSL"))})}
    assert mark_of(row) == (PAIR.owner, "app")
    assert has_conditions(row, "REQUIRE SSL")
    assert not has_conditions(row, "REQUIRE NONE")
    for unknown in (marking(PAIR), "{}"):
        row = {"User_attributes": json.dumps({"metadata": json.loads(unknown)})}
        assert not has_conditions(row, "REQUIRE SSL")


def test_mark_of_mariadb() -> None:
    """MariaDB's mark differs for every secret, first and second user, and fits in a name."""
    pairs = [
        PAIR,
        Pair("app", "app_clone", "arn:other"),
        Pair("app2", "app_clone", PAIR.owner),
        Pair("app", "app_clone2", PAIR.owner),
    ]
    names = {mark_name(pair) for pair in pairs}
    assert len(names) == len(pairs)
    assert all(len(name) <= 80 for name in names)


def test_lock_names() -> None:
    """A lock's name fits, and differs for secrets that differ only at the end."""
    long = "arn:" + "x" * 500
    assert len(lock_name(long)) <= LONGEST_LOCK_NAME
    assert lock_name(long) != lock_name(long + "y")


ONE_WAY = "CREATE USER `a`@`%` IDENTIFIED VIA mysql_native_password USING '*A' OR unix_socket"
TWO = f"{ONE_WAY} OR mysql_native_password USING '*B' REQUIRE SSL"


@pytest.mark.parametrize(
    ("statement", "passwords"),
    [
        (ONE_WAY, 1),
        (TWO, 2),
        ("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*AB'", 1),
        ("CREATE USER `a`@`%` IDENTIFIED VIA unix_socket", 0),
        ("CREATE USER `mysql_native_password ``x`@`%` IDENTIFIED BY PASSWORD '*AB'", 1),
        ("CREATE USER `a`@`%` IDENTIFIED VIA pam USING 'mysql_native_password''s \\' x'", 0),
    ],
)
def test_passwords_are_counted(statement: str, passwords: int) -> None:
    """The passwords in SHOW CREATE USER are counted, whatever the names contain."""
    assert count_passwords(statement) == passwords


def test_other_ways_are_kept() -> None:
    """New passwords take the place of all old ones; other ways to log in stay, in their order."""
    ways = [Way("unix_socket"), Way("mysql_native_password", "*A"), Way("gssapi", "EXAMPLE.COM")]
    text, arguments = identified(ways, ["one", "two"], clear=False)
    assert text == "IDENTIFIED VIA %s USING %s OR %s USING %s OR %s OR %s USING %s"
    assert arguments == [
        *("mysql_native_password", native_hash("one")),
        *("mysql_native_password", native_hash("two")),
        *("unix_socket", "gssapi", "EXAMPLE.COM"),
    ]
    assert identified([], ["one"], clear=True) == (
        "IDENTIFIED VIA %s USING PASSWORD(%s)",
        ["mysql_native_password", "one"],
    )


def test_rotator() -> None:
    """The rotator answers to the names that operators' secrets have."""
    names = frozenset[str]().union(*(engine.names for engine in MysqlRotator.engines))
    assert names == {"mysql", "mariadb", "aurora-mysql"}
    assert MysqlRotator.default_port() == 3306
