"""The declaration of an engine, and what stands behind it: a second user, two passwords."""

from typing import ClassVar, cast

import pytest

from local.proxy import Proxy
from shared.engine import Engine
from shared.errors import NameTooLong, PermissionDenied, RotationError
from shared.session import (
    Ownership,
    OwnTwoPasswords,
    Pair,
    SecondUser,
    Session,
    TwoPasswords,
)
from tests.kit.contract.session import failure_in, said
from tests.kit.contract.world import PASSWORD, SECOND, THIRD, State, World, needs, promised

OWNER = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:contract-AbCdEf"


class DeclarationContract:
    """What is asked of the declaration."""

    world: ClassVar[type[World]]

    def test_strategies_agree_with_the_session(self, on: World) -> None:
        """What is declared, the sessions can; what they can, is declared."""
        lacking = on.lacking()
        with on.as_administrator() as session:
            can: dict[State, tuple[type, bool]] = {
                State.SECOND_USER: (SecondUser, isinstance(session, SecondUser)),
                State.TWO_PASSWORDS: (TwoPasswords, isinstance(session, TwoPasswords)),
                State.OWN_TWO_PASSWORDS: (OwnTwoPasswords, isinstance(session, OwnTwoPasswords)),
            }
            kind, engine = type(session), session.engine
        promised(
            engine == on.engine(),
            f"Sessions of {on.kind} are of the engine {engine.name}, and declared is "
            f"{on.engine().name}.",
            Session,
        )
        for state, (protocol, able) in can.items():
            says = state not in lacking
            promised(
                says is able,
                f"{state.capitalize()} is {'' if says else 'not '}declared, and {kind.__name__} is "
                f"{'' if able else 'not '}able to do it.",
                protocol,
            )

    def test_nothing_declared_is_lacking(self, on: World) -> None:
        """A server of this version lacks nothing of what is declared."""
        with on.as_administrator() as session:
            lacking = [session.unable(strategy) for strategy in on.engine().strategies]
        promised(
            not any(lacking),
            f"unable() says of declared strategies: {lacking}. A server of a kind that is tested "
            "must be able to do them.",
            Session.unable,
        )

    def test_the_servers_engine_is_among_the_names(self, on: World) -> None:
        """A secret with the engine's own name is one for this rotator."""
        names = on.engine().names
        promised(
            on.server.engine in names and all(each == each.lower() for each in names),
            f"The names of the engine are {sorted(names)}: lower case, and {on.server.engine} is "
            "one of them.",
            Engine,
        )

    def test_what_the_world_lacks_has_a_reason(self) -> None:
        """Each state that is not tested, or ends in another error, has a sentence that says why."""
        reasons = [*self.world.lacks.values(), *(why for _, why in self.world.instead.values())]
        promised(
            all(len(why.split()) > 3 and why.endswith(".") for why in reasons),
            "Each reason in `lacks` and `instead` must be a sentence.",
            World,
        )


class PairContract:
    """What is asked of a second user; see :class:`shared.session.SecondUser`."""

    world: ClassVar[type[World]]

    @pytest.fixture
    def pair(self, on: World) -> Pair:
        """The users of a secret: the first exists, with rights of every kind."""
        first = f"first{on.new_name()}"
        on.oracle.make_user(first, PASSWORD, own_two_passwords=False)
        return Pair(first, f"{first}_clone", OWNER)

    @staticmethod
    def _second_user(session: Session) -> SecondUser:
        return cast("SecondUser", session)

    @needs(State.SECOND_USER)
    def test_second_user_is_made(self, on: World, pair: Pair) -> None:
        """A missing second user is made, marked, let in, and made equal; the first is untouched."""
        with on.as_administrator() as session:
            admin = self._second_user(session)
            before = admin.ownership(pair)
            admin.prepare(pair.second, SECOND, pair, rights=True)
            after, differences = admin.ownership(pair), admin.differences(pair, pair.second)
        promised(
            (before, after) == (Ownership.MISSING, Ownership.OURS),
            f"ownership() must be MISSING, then OURS; it is {before.name}, then {after.name}.",
            SecondUser.ownership,
        )
        promised(
            on.accepts(pair.second, SECOND),
            "prepare() has not given the second user the password.",
            SecondUser.prepare,
        )
        promised(
            on.accepts(pair.first, PASSWORD),
            "prepare() has touched the first user's password.",
            SecondUser.prepare,
        )
        promised(
            not differences,
            f"Right after prepare() the two differ: {differences}.",
            SecondUser.differences,
        )
        self._require_equal(on, pair)

    @needs(State.SECOND_USER)
    def test_equal_again(self, on: World, pair: Pair) -> None:
        """What has changed of the first is a difference, and gone after the next prepare()."""
        with on.as_administrator() as session:
            admin = self._second_user(session)
            admin.prepare(pair.second, SECOND, pair, rights=True)
            on.oracle.change_rights(pair.first)
            admin.prepare(pair.second, THIRD, pair, rights=True)
            differences = admin.differences(pair, pair.second)
        promised(
            not differences,
            f"prepare(rights=True) has left differences: {differences}.",
            SecondUser.prepare,
        )
        promised(
            on.accepts(pair.second, THIRD) and not on.accepts(pair.second, SECOND),
            "prepare() must make the password the second user's only one.",
            SecondUser.prepare,
        )
        promised(
            on.accepts(pair.first, PASSWORD),
            "prepare() has touched the first user's password.",
            SecondUser.prepare,
        )
        self._require_equal(on, pair, THIRD)

    @needs(State.SECOND_USER)
    def test_difference_is_seen(self, on: World, pair: Pair) -> None:
        """What has changed of the first since is a difference, until the next prepare()."""
        with on.as_administrator() as session:
            admin = self._second_user(session)
            admin.prepare(pair.second, SECOND, pair, rights=True)
            on.oracle.change_rights(pair.first)
            differences = admin.differences(pair, pair.second)
        promised(
            differences,
            "A right and a limit of the first user have changed, and differences() says nothing.",
            SecondUser.differences,
        )

    @needs(State.SECOND_USER)
    @pytest.mark.parametrize("turn", ["second", "first"])
    def test_prepare_twice(self, on: World, pair: Pair, turn: str) -> None:
        """prepare() once more changes nothing; at the first's turn it sets the first's alone."""
        idle = getattr(pair, turn)
        with on.as_administrator() as session:
            admin = self._second_user(session)
            admin.prepare(pair.second, SECOND, pair, rights=True)
            for _ in range(2):
                error = failure_in(lambda: admin.prepare(idle, THIRD, pair, rights=False))
                promised(error is None, f"prepare() ends in {said(error)}.", SecondUser.prepare)
        other = pair.first if idle == pair.second else pair.second
        promised(
            on.accepts(idle, THIRD) and on.accepts(other, SECOND if turn == "first" else PASSWORD),
            f"prepare() of the {turn} user has not set its password, or that of the other.",
            SecondUser.prepare,
        )

    @needs(State.SECOND_USER)
    def test_user_of_somebody_else(self, on: World, pair: Pair) -> None:
        """A user of that name without the mark is FOREIGN, until adopt() makes it ours."""
        on.server.create_user(pair.second, SECOND)
        with on.as_administrator() as session:
            admin = self._second_user(session)
            before, statement = admin.ownership(pair), admin.adoption(pair)
            other = admin.ownership(Pair(pair.first, pair.second, OWNER + "2"))
            admin.adopt(pair)
            after = admin.ownership(pair)
            of_another = admin.ownership(Pair(pair.first, pair.second, OWNER + "2"))
        promised(
            (before, other) == (Ownership.FOREIGN, Ownership.FOREIGN),
            f"A user that somebody else made must be FOREIGN, and is {before.name}.",
            SecondUser.ownership,
        )
        promised(statement, "adoption() gives no statement.", SecondUser.adoption)
        promised(
            (after, of_another) == (Ownership.OURS, Ownership.FOREIGN),
            f"After adopt() the user must be OURS, and FOREIGN to any other secret; it is "
            f"{after.name}, and {of_another.name}.",
            SecondUser.adopt,
        )

    @needs(State.SECOND_USER)
    def test_sessions_are_counted(self, on: World, pair: Pair) -> None:
        """Open sessions of a user are counted, or it is said that one may not look."""
        with on.as_administrator() as session:
            admin = self._second_user(session)
            none = admin.sessions_of(pair.first)
            with on.as_user(pair.first), on.as_user(pair.first):
                two = admin.sessions_of(pair.first)
        promised(
            (none, two) in {(0, 2), (None, None)},
            f"sessions_of() must count 0, then 2 (or be None), and says {none}, then {two}.",
            SecondUser.sessions_of,
        )

    @needs(State.SECOND_USER)
    def test_whom_the_second_acts_as(self, on: World, pair: Pair) -> None:
        """A session of either user acts as should_act_as() says, where it says something."""
        with on.as_administrator() as session:
            admin = self._second_user(session)
            admin.prepare(pair.second, SECOND, pair, rights=True)
            wanted = {each: admin.should_act_as(each, pair) for each in pair}
        for username, password in ((pair.first, PASSWORD), (pair.second, SECOND)):
            with on.as_user(username, password) as session:
                found = session.acts_as()
            promised(
                wanted[username] in {None, found},
                f"A session of {username} acts as {found}, and should_act_as() says "
                f"{wanted[username]}.",
                SecondUser.should_act_as,
            )

    @needs(State.SECOND_USER)
    def test_second_users_password_is_not_logged(self, on: World, pair: Pair) -> None:
        """prepare() leaves no password in the server's log."""
        began = len(on.server.log_text())
        with on.as_administrator() as session:
            self._second_user(session).prepare(pair.second, SECOND, pair, rights=True)
            self._second_user(session).prepare(pair.second, THIRD, pair, rights=True)
        log = on.server.log_text()[began:]
        promised(
            SECOND not in log and THIRD not in log,
            "prepare() leaves a password in the server's log.",
            SecondUser.prepare,
        )

    @needs(State.SECOND_USER)
    def test_second_name_that_is_too_long(self, on: World, pair: Pair) -> None:
        """A second user's name that the engine does not allow is NameTooLong; nothing is made."""
        long = "x" * (on.rotator.longest_name + 1)
        too_long = Pair(pair.first, long, OWNER)
        with on.as_administrator() as session:
            admin = self._second_user(session)

            def prepare() -> None:
                on.rotator.require_name(long)
                admin.prepare(long, SECOND, too_long, rights=True)

            error = failure_in(prepare)
        promised(
            isinstance(error, NameTooLong) and on.oracle.state_of(long) is None,
            f"A name of {len(long)} must end in NameTooLong, and ends in {said(error)}.",
            SecondUser.prepare,
        )

    @staticmethod
    def _require_equal(on: World, pair: Pair, password: str = SECOND) -> None:
        """Let both act, and compare what came of it."""
        first = on.oracle.rights(pair.first, pair.first, PASSWORD, taking_over=False)
        second = on.oracle.rights(pair.first, pair.second, password, taking_over=False)
        differing = [
            f"{each}: {second.get(each)} instead of {first.get(each)}"
            for each in sorted(first.keys() | second.keys())
            if first.get(each) != second.get(each)
        ]
        promised(
            not differing,
            f"The second user may not do what the first may: {'; '.join(differing[:5])}.",
            SecondUser.prepare,
        )


class TwoPasswordsContract:
    """What is asked of two passwords; see :class:`shared.session.TwoPasswords`."""

    world: ClassVar[type[World]]

    @staticmethod
    def _accepted(on: World, username: str) -> list[str]:
        return [each for each in (PASSWORD, SECOND, THIRD) if on.accepts(username, each)]

    @needs(State.TWO_PASSWORDS)
    def test_both_work(self, on: World) -> None:
        """After set_both() the two passwords log in, and no third one; once more is the same."""
        name = on.new_user()
        with on.as_administrator() as session:
            admin = cast("TwoPasswords", session)
            for new, old in ((SECOND, PASSWORD), (SECOND, PASSWORD), (THIRD, SECOND)):
                error = failure_in(lambda new=new, old=old: admin.set_both(name, new, old))  # type: ignore[misc]
                promised(error is None, f"set_both() ends in {said(error)}.", TwoPasswords.set_both)
                found = self._accepted(on, name)
                promised(
                    set(found) == {new, old},
                    f"After set_both() exactly the two passwords must log in; of three that were "
                    f"tried {len(found)} do.",
                    TwoPasswords.set_both,
                )

    @needs(State.TWO_PASSWORDS)
    def test_from_either_state(self, on: World) -> None:
        """set_both() keeps the old password from whichever place it has, first or second."""
        name = on.new_user()
        with on.as_administrator() as session:
            admin = cast("TwoPasswords", session)
            admin.set_both(name, SECOND, PASSWORD)
            admin.set_both(name, THIRD, PASSWORD)  # PASSWORD was the second one
        promised(
            self._accepted(on, name) == [PASSWORD, THIRD],
            "set_both() with an old password that was the second one must keep it.",
            TwoPasswords.set_both,
        )

    @needs(State.TWO_PASSWORDS)
    def test_old_password_works_throughout(self, on: World) -> None:
        """At every message of set_both() the old password logs in."""
        name = on.new_user()
        account = on.administrator
        seen: list[bool] = []
        with Proxy(on.server.host, on.server.port) as proxy:
            at_proxy = on.login(
                account.username, account.password, host=proxy.host, port=proxy.port
            )
            with on.connect(at_proxy) as session:
                proxy.on_message = lambda *_: seen.append(on.accepts(name, PASSWORD))
                cast("TwoPasswords", session).set_both(name, SECOND, PASSWORD)
        promised(
            seen and all(seen),
            f"At {seen.count(False)} of {len(seen)} messages of set_both() the old password does "
            "not log in: applications are shut out.",
            TwoPasswords.set_both,
        )

    @needs(State.TWO_PASSWORDS)
    def test_two_passwords_outlive_a_crash(self, on: World) -> None:
        """Both passwords are there after the server was killed and started again."""
        name = on.new_user()
        with on.as_administrator() as session:
            cast("TwoPasswords", session).set_both(name, SECOND, PASSWORD)
        on.restart_hard()
        promised(
            self._accepted(on, name) == [PASSWORD, SECOND],
            "set_both() does not outlive a crash of the server.",
            TwoPasswords.set_both,
        )

    @needs(State.TWO_PASSWORDS)
    def test_one_password_again(self, on: World) -> None:
        """change_password() leaves one of two passwords: the new one."""
        name = on.new_user()
        with on.as_administrator() as session:
            cast("TwoPasswords", session).set_both(name, SECOND, PASSWORD)
            session.change_password(name, THIRD)
        promised(
            self._accepted(on, name) == [THIRD],
            "After change_password() a second password is left that logs in.",
            Session.change_password,
        )

    @needs(State.TWO_PASSWORDS)
    def test_two_passwords_without_right(self, on: World) -> None:
        """Who may not give a user two passwords is told so; nothing is changed."""
        one, other = on.new_user(), on.new_user()
        with on.as_user(one) as session:
            error = failure_in(
                lambda: cast("TwoPasswords", session).set_both(other, THIRD, PASSWORD)
            )
        promised(
            isinstance(error, RotationError)
            and (isinstance(error, PermissionDenied) or not error.retry_cures)
            and self._accepted(on, other) == [PASSWORD],
            f"set_both() by who may not must raise PermissionDenied; it ends in {said(error)}.",
            TwoPasswords.set_both,
        )

    @needs(State.OWN_TWO_PASSWORDS)
    def test_own_second_password(self, on: World) -> None:
        """A user puts a new password before its old one, if that is the first; else nothing."""
        name = f"own{on.new_name()}"
        on.oracle.make_user(name, PASSWORD, own_two_passwords=True)
        with on.as_user(name) as session:
            own = cast("OwnTwoPasswords", session)
            added = own.add_password(SECOND, PASSWORD)
            promised(
                added and self._accepted(on, name) == [PASSWORD, SECOND],
                "add_password() must leave the user with both passwords.",
                OwnTwoPasswords.add_password,
            )
            refused = own.add_password(THIRD, PASSWORD)
        promised(
            refused is False and self._accepted(on, name) == [PASSWORD, SECOND],
            "add_password() with an old password that is not the first must change nothing and "
            f"be False; it is {refused}.",
            OwnTwoPasswords.add_password,
        )

    @needs(State.OWN_TWO_PASSWORDS)
    def test_own_both(self, on: World) -> None:
        """set_both() by the user itself leaves exactly the two, from any state."""
        name = f"own{on.new_name()}"
        on.oracle.make_user(name, PASSWORD, own_two_passwords=True)
        with on.as_user(name) as session:
            own = cast("OwnTwoPasswords", session)
            own.set_both(name, SECOND, PASSWORD)
            own.set_both(name, THIRD, PASSWORD)
        promised(
            self._accepted(on, name) == [PASSWORD, THIRD],
            "set_both() by the user must leave it with exactly the two passwords.",
            TwoPasswords.set_both,
        )
