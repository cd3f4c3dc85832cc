"""One scene: a rotation carried out, watched, and told."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local.demo.logins import Logins
from local.demo.scenes import (
    KILL_STORY,
    KILLED,
    STRATEGIES,
    Observation,
    Scene,
    claims,
    explanation,
    milliseconds,
)
from local.demo.terminal import WIDTH, Style, Terminal
from local.demo.world import Function, Invocation, World
from local.engines import ENGINES
from local.secretsmanager import ConnectionLost, Outcome
from local.servers.server import random_password

OTHER_KEYS: Mapping[str, Any] = {
    "application": "demonstration",
    "pool": {"min": 1, "max": 8.0, "hosts": ["a", None, True]},
    "größe": "µ",
}
"""Keys that rotation knows nothing about, of several types."""


def perform(scene: Scene, world: World, terminal: Terminal) -> Observation:
    """Carry out the scene and tell it as it happens.

    Returns:
        What was seen of it.
    """
    server, function = world.servers[scene.engine], world.functions[scene.engine]
    heading = f"{ENGINES[scene.engine].engine.title} {terminal.dot} {scene.strategy}"
    terminal.title(f"{heading} {terminal.dot} killed in the middle" if scene.killed else heading)
    terminal.quiet(f"  {KILL_STORY if scene.killed else STRATEGIES[scene.strategy].story}")
    arn, before = _create(scene, world)
    seen_before = Logins.at(server)
    world.client.watch(arn, server.ca_file)
    with terminal.status("rotating"), _told(function, terminal), _killing(scene, world):
        outcome = _rotate(scene, world, arn)
    report = world.client.stop()
    logins = Logins.at(server) - seen_before - Logins(report.accepted, report.refused)
    after = _value(world, arn)
    old_works = server.logs_in(before["username"], before["password"])
    new_works = server.logs_in(after["username"], after["password"])
    old_works_later = None
    if old_works and outcome.succeeded and _rotate(scene, world, arn).succeeded:
        old_works_later = server.logs_in(before["username"], before["password"])
    seen = Observation(
        succeeded=outcome.succeeded,
        attempts=outcome.attempts,
        calls=len(outcome.calls),
        logins=logins,
        report=report,
        old_user=before["username"],
        new_user=after["username"],
        changed=after["password"] != before["password"],
        old_works=old_works,
        new_works=new_works,
        old_works_later=old_works_later,
        other_keys=len(_others(before)),
        # As text: the order of keys counts, and 8.0 is not 8.
        kept=json.dumps(_others(before)) == json.dumps(_others(after)),
    )
    for claim in claims(scene, seen):
        terminal.claim(claim.text, held=claim.held)
    return seen


def _create(scene: Scene, world: World) -> tuple[str, dict[str, Any]]:
    """Make a user and its secret; return the secret's ARN and value."""
    server, strategy = world.servers[scene.engine], STRATEGIES[scene.strategy]
    password = random_password()
    server.create_user(scene.user, password)
    value = {
        "engine": scene.engine,
        "host": server.host,
        "port": server.port,
        "username": scene.user,
        "password": password,
        "dbname": server.database,
        **OTHER_KEYS,
    }
    if strategy.by_administrator:
        value["masterarn"] = world.administrator_arns[scene.engine]
    created = world.secretsmanager.create_secret(
        Name=f"demo/{scene.engine}/{scene.user}",
        SecretString=json.dumps(value),
        Tags=[{"Key": "rotation:strategy", "Value": scene.strategy}],
    )
    return created["ARN"], value


def _rotate(scene: Scene, world: World, arn: str) -> Outcome:
    """Have the secret rotated, as anybody would, and wait for the end."""
    world.secretsmanager.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=world.function_arns[scene.engine],
        RotationRules={"ScheduleExpression": "rate(30 days)"},
    )
    world.service.wait()
    return world.service.outcomes[-1]


def _value(world: World, arn: str) -> dict[str, Any]:
    answer = world.secretsmanager.get_secret_value(SecretId=arn)
    value: dict[str, Any] = json.loads(answer["SecretString"])
    return value


def _others(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in {"username", "password"}}


@contextmanager
def _told(function: Function, terminal: Terminal) -> Iterator[None]:
    """Write a line for each step while the rotation runs."""

    def tell(step: Invocation) -> None:
        text = f"    {step.step:<13} {milliseconds(step.seconds):>7}  "
        if step.error is not None:
            killed = step.error.startswith("Runtime.ExitError")
            for line in textwrap.wrap(KILLED if killed else step.error, WIDTH - len(text)):
                terminal.line(text + terminal.styled(line, Style.BAD))
                text = " " * len(text)
            return
        cold = ""
        if step.cold_start_seconds is not None:
            cold = f", after a cold start of {milliseconds(step.cold_start_seconds)}"
        terminal.line(text + explanation(step.entry) + terminal.styled(cold, Style.QUIET))

    function.on_invocation = tell
    try:
        yield
    finally:
        function.on_invocation = None


@contextmanager
def _killing(scene: Scene, world: World) -> Iterator[None]:
    """Kill the function when it is about to promote what it has set, once, if the scene says so."""
    if not scene.killed:
        yield
        return
    function = world.functions[scene.engine]

    def kill(operation: str, phase: str, number: int) -> None:
        if (operation, phase) != ("UpdateSecretVersionStage", "before"):
            return
        if world.service.requests[number - 1].parameters["VersionStage"] == "AWSCURRENT":
            world.service.on_request = None
            function.kill()
            raise ConnectionLost("The function was killed before it moved AWSCURRENT.")

    world.service.on_request = kill
    try:
        yield
    finally:
        world.service.on_request = None
