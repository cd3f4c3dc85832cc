"""The contract of a rotator, as tests: subclass :class:`Contract`, give it a world, and run pytest.

::

    pytest_plugins = ["tests.kit.plugin"]                      # in conftest.py

    class TestExample(Contract):
        world = ExampleWorld                                   # a subclass of World

Everything is asked of the real thing: the rotator's own sessions, the function in a process of its
own, a server on loopback. What an engine does not have, its world says with a reason; the run ends
with a list of what was therefore not asked.

=====================  =============================================================================
:mod:`.world`          what the developer of an engine gives
:mod:`.connect`        the table of logins: which error each of them is, and how long it may take
:mod:`.session`        passwords, accounts, time
:mod:`.lock`           who holds the lock, who waits, and when it is free again
:mod:`.wire`           what is on the wire, and in which log
:mod:`.abilities`      the declaration; a second user, two passwords
:mod:`.strategy`       whole rotations: killed, held, restarted, misled
=====================  =============================================================================
"""

from tests.kit.contract.abilities import DeclarationContract, PairContract, TwoPasswordsContract
from tests.kit.contract.connect import ConnectContract
from tests.kit.contract.lock import LockContract
from tests.kit.contract.session import SessionContract
from tests.kit.contract.strategy import StrategyContract
from tests.kit.contract.wire import WireContract
from tests.kit.contract.world import State, World

CONTRACT = 1
"""Rises when a rotator that kept this contract may not keep the next one; see CHANGELOG.md."""


class SessionsContract(
    ConnectContract,
    SessionContract,
    LockContract,
    WireContract,
    DeclarationContract,
    PairContract,
    TwoPasswordsContract,
):
    """What is asked of logins and sessions: no rotation, a minute."""


class Contract(SessionsContract, StrategyContract):
    """All that is asked of a rotator."""


__all__ = ["CONTRACT", "Contract", "SessionsContract", "State", "World"]
