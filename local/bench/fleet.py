"""Rotates many secrets: `python -m local.bench fleet 1000`.

Everything is real but Secrets Manager, which is the local one: users, logins, rotations, and the
look at every single secret afterwards. Several execution environments work at once, as a function's
reserved concurrency allows.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from statistics import median, quantiles

from local.bench.measurements import Bench, Measured
from local.demo.terminal import Terminal
from local.engines import ENGINES
from local.isolation import forget_caller
from local.secretsmanager import SecretsManagerService
from local.servers import start
from shared.settings import StrategyName

ENVIRONMENTS = 4
WRITES = frozenset({"PutSecretValue", "UpdateSecretVersionStage"})
"""They share the lowest of the service's quotas."""
WRITES_A_SECOND = 50
"""Of an account in a Region; cannot be raised. See docs/aws-facts.md."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What many rotations took.

    Attributes:
        seconds: From the first step to the last.
        each: Seconds of each rotation.
        calls: Operations of Secrets Manager to how often they were called.
        failed: ARNs of secrets of which AWSCURRENT is not the new version, or does not log in.
    """

    seconds: float
    each: Sequence[float]
    calls: Counter[str]
    failed: Sequence[str]

    @property
    def writes(self) -> float:
        """How many of the calls that share a quota one rotation makes."""
        return sum(self.calls[name] for name in WRITES) / len(self.each)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    strategies = [str(each) for each in StrategyName]
    parser.add_argument("secrets", type=int, help="how many")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="postgres")
    parser.add_argument("--strategy", choices=strategies, default=str(StrategyName.SINGLE_USER))
    parser.add_argument(
        "--environments", type=int, default=ENVIRONMENTS, help=f"{ENVIRONMENTS} when omitted"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Rotate a fleet and tell what it took.

    Returns:
        The exit status: 0 if every secret has its new password and logs in with it, else 1.
    """
    service = SecretsManagerService()
    declared, many = ENGINES[arguments.engine], arguments.secrets
    with ExitStack() as stack:
        environment = stack.enter_context(service.endpoint()).environment()
        forget_caller(environment)
        with terminal.status(f"starting {declared.engine.title}"):
            server = stack.enter_context(start(declared.engine.name))
        bench = Bench(declared, server, service, environment)
        strategy = StrategyName(arguments.strategy)
        with terminal.status(f"making {many} users"):
            secrets = users(bench, strategy, many)
        with terminal.status(f"rotating {many} secrets"):
            fleet = rotate(bench, service, secrets, arguments.environments)
    tell(fleet, f"{declared.engine.title}, {strategy}", arguments.environments, terminal)
    return 1 if fleet.failed else 0


def users(bench: Bench, strategy: StrategyName, many: int) -> list[str]:
    """Make users and their secrets, and return the ARNs."""
    by_administrator = strategy is not StrategyName.SINGLE_USER
    return [
        bench.secret(strategy, f"fleet_{number}", administrator=by_administrator)
        for number in range(many)
    ]


def rotate(
    bench: Bench, service: SecretsManagerService, secrets: Sequence[str], environments: int
) -> Fleet:
    """Rotate every secret once, several at a time, and look at each."""
    service.reset_requests()
    with ExitStack() as stack:
        free: SimpleQueue[Measured] = SimpleQueue()
        for _ in range(environments):
            free.put(stack.enter_context(bench.function()))

        def rotate_one(secret: str) -> tuple[str, float]:
            function = free.get()
            try:
                token = bench.new_version(secret)
                return token, function.rotate(secret, token)
            finally:
                free.put(function)

        began = time.monotonic()
        with ThreadPoolExecutor(environments) as pool:
            done = list(pool.map(rotate_one, secrets))
        seconds = time.monotonic() - began
    calls = Counter(request.operation for request in service.requests)
    failed = [
        secret
        for secret, (token, _) in zip(secrets, done, strict=True)
        if service.labels(secret)["AWSCURRENT"] != token or not bench.logs_in(secret)
    ]
    return Fleet(seconds, [taken for _, taken in done], calls, failed)


def tell(fleet: Fleet, what: str, environments: int, terminal: Terminal) -> None:
    """Tell what it took."""
    many = len(fleet.each)
    longest = max(fleet.each)
    ninety_nine = quantiles(fleet.each, n=100)[-1] if many > 1 else longest
    terminal.title(f"{what}: {many} secrets, {environments} environments")
    terminal.line(f"  {fleet.seconds:.1f} s in all, {many / fleet.seconds:.1f} rotations a second")
    terminal.line(
        f"  one rotation: median {median(fleet.each) * 1000:.0f} ms, 99 of 100 within "
        f"{ninety_nine * 1000:.0f} ms, the longest {longest * 1000:.0f} ms"
    )
    terminal.line(
        f"  calls to Secrets Manager: {sum(fleet.calls.values()) / many:.1f} a rotation, "
        f"{fleet.writes:.1f} of them writes: at {WRITES_A_SECOND} writes a second "
        f"{WRITES_A_SECOND / fleet.writes:.1f} rotations a second"
    )
    terminal.claim(
        "Every secret has a new password and logs in with it."
        if not fleet.failed
        else f"{len(fleet.failed)} of {many} were not rotated: {', '.join(fleet.failed[:3])}",
        held=not fleet.failed,
    )
