"""Diagrams in Mermaid, made of the code's own tables and of rotations that were recorded."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from shared.errors import NoLoginWorks
from shared.lifecycle import (
    ACTIONS,
    SEARCH,
    SEARCH_WITHOUT_GUESSING,
    VERDICTS,
    Action,
    Source,
    Standing,
    Verdict,
)
from shared.model import Label, Stage, Step
from shared.settings import StrategyName
from tests.conformance.simulated import ADMINISTRATOR
from tests.pages.recording import LOG_IN, SECOND_USER, USER, Message, record

LEADS_TO = {Action.STORE: Standing.PENDING, Action.PROMOTE: Standing.CURRENT}
"""Where the version stands after an action; all others leave it where it is. Under the strategies
that promote in setSecret, APPLY leads to CURRENT as well."""
PROMOTES_AT_ONCE = Step.SET

SAYS: Mapping[tuple[str, str], str] = {
    ("DescribeSecret", ""): "read the labels",
    ("GetSecretValue", ""): "read the new value, the plan and the labels",
    ("GetSecretValue", Stage.CURRENT): "read AWSCURRENT",
    ("DescribeSecret", ADMINISTRATOR): "may his secret be used?",
    ("GetSecretValue", ADMINISTRATOR): "read the administrator's secret",
    ("PutSecretValue", ""): "store the new value, with the plan",
    ("UpdateSecretVersionStage", Label.FENCE): "move the fence to the new version, or stop",
    ("UpdateSecretVersionStage", Stage.CURRENT): "move AWSCURRENT to the new version, or stop",
    (LOG_IN, ADMINISTRATOR): "log in as the administrator",
    (LOG_IN, USER): f"log in as {USER}",
    (LOG_IN, SECOND_USER): f"log in as {SECOND_USER}",
    ("lock", ""): "take the lock",
    ("acts_as", ""): "with whose rights?",
    ("change_password", USER): f"change the password of {USER}",
    ("ownership", ""): f"is {SECOND_USER} ours?",
    ("sessions_of", SECOND_USER): f"does anybody use {SECOND_USER}?",
    ("prepare", SECOND_USER): f"give {SECOND_USER} the new password and the rights of {USER}",
    ("differences", SECOND_USER): "compare the rights of both",
    ("should_act_as", SECOND_USER): "with whose rights must it come?",
    ("remarks", ""): "anything to remark?",
}
"""What a message says in a diagram."""
LEFT_OUT = {"acts_as", "remarks", "should_act_as"}
"""Questions that belong to the message before them."""
REFUSED_COLOUR = "rgba(230, 120, 40, 0.25)"

Key = tuple[bool, bool, bool]
VERDICT_SAYS = {
    Verdict.PROMOTED: "nothing is left to do",
    Verdict.SAME: "go on",
    Verdict.EDITED: "end, the database follows AWSCURRENT where a user has one password",
    Verdict.OVERTAKEN: "change nothing",
}
QUESTIONS = {
    1: "Is the attempt's version AWSCURRENT?",
    0: "Has it AWSPENDING?",
    2: "Is AWSCURRENT the version that the plan was made from?",
}
"""What the places of a key of :data:`VERDICTS` mean, in the order in which they are asked here."""


def block(lines: Iterable[str]) -> str:
    """Return the lines as a block of Mermaid."""
    return "\n".join(["```mermaid", *lines, "```"])


def rotation(strategy: StrategyName, *, administrator: bool) -> str:
    """Draw one healthy rotation, as it was recorded."""
    lines = [
        "sequenceDiagram",
        "    participant S as Secrets Manager",
        "    participant F as Function",
        "    participant D as Database",
    ]
    for recorded in record(strategy, administrator=administrator):
        lines.append(f"    S->>F: {recorded.step}")
        lines += _messages(recorded.messages)
    return block(lines)


def _messages(messages: Iterable[Message]) -> Iterator[str]:
    is_refused = False
    for message in messages:
        said = SAYS[message.name, message.subject]
        if message.name in LEFT_OUT:
            continue
        if message.is_refused != is_refused:
            is_refused = message.is_refused
            yield f"    rect {REFUSED_COLOUR}" if is_refused else "    end"
        yield f"    F->>{'S' if message.is_for_the_service else 'D'}: {said}"
    if is_refused:
        yield "    end"


def standings() -> str:
    """Draw where a version stands and what each step does then: :data:`ACTIONS`."""
    lines = ["stateDiagram-v2", "    direction LR", "    [*] --> EMPTY: RotateSecret"]
    for (start, end), steps in edges().items():
        lines.append(f"    {start} --> {end}: {', '.join(steps)}")
    return block(lines)


def edges() -> dict[tuple[str, str], list[str]]:
    """Return what leads from where to where; a refusal leads to its error."""
    edges: dict[tuple[str, str], list[str]] = {}
    for (step, where), decided in ACTIONS.items():
        if isinstance(decided, Action):
            told = f"{step} ({decided.name})"
            end = LEADS_TO.get(decided, where).name
        else:
            told, end = str(step), decided.__name__
        edges.setdefault((where.name, end), []).append(told)
    apply = (Standing.PENDING.name, Standing.CURRENT.name)
    edges[apply].append(f"{PROMOTES_AT_ONCE} ({Action.APPLY.name} for a single user)")
    return edges


def verdicts() -> str:
    """Draw what is decided under the lock: :data:`VERDICTS`."""
    lines = ["flowchart TD"]
    _ask(VERDICTS, list(QUESTIONS), lines)
    return block(lines)


def _ask(rows: Mapping[Key, Verdict], open_: list[int], lines: list[str]) -> str:
    """Add the question that divides the rows, and what follows it; return its node's name."""
    found = set(rows.values())
    if len(found) == 1:
        (verdict,) = found
        lines.append(f'    {verdict.name}["{verdict.name}: {VERDICT_SAYS[verdict]}"]')
        return verdict.name
    place, *rest = open_
    node = f"question{place}"
    lines.append(f'    {node}{{"{QUESTIONS[place]}"}}')
    for answer in (True, False):
        below = {key: value for key, value in rows.items() if key[place] is answer}
        end = _ask(below, rest, lines)
        lines.append(f"    {node} -->|{'yes' if answer else 'no'}| {end}")
    return node


def searches() -> str:
    """Draw in which order passwords are tried: :data:`SEARCH` and what there is besides."""
    lines = ["flowchart LR"]
    for name, sources, end in (
        ("the user alone", SEARCH, NoLoginWorks.__name__),
        ("with an administrator", SEARCH_WITHOUT_GUESSING, "the administrator sets it"),
    ):
        prefix = "alone" if sources is SEARCH else "helped"
        lines.append(f'    subgraph {prefix}["{name}"]')
        lines.append("    direction LR")
        nodes = [f'{prefix}{source.name}["{_source(source)}"]' for source in sources]
        nodes.append(f'{prefix}END["{end}"]')
        lines += [f"    {node}" for node in nodes]
        names = [node.partition("[")[0] for node in nodes]
        lines += [f"    {first} -->|refused| {second}" for first, second in pairwise(names)]
        lines.append("    end")
    return block(lines)


def _source(source: Source) -> str:
    return {
        Source.CURRENT: "AWSCURRENT",
        Source.FENCE: "the fence's holder",
        Source.PREVIOUS: "AWSPREVIOUS",
        Source.REST: "any other version, newest first",
    }[source]
