"""Pages made of the code say what the code says, and the commands on them are complete."""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

from local.template import ROOT, load
from shared.errors import Remedy
from shared.lifecycle import ACTIONS, SEARCH, VERDICTS, Action, Standing
from shared.model import Step
from shared.session import OwnTwoPasswords, SecondUser, Session
from shared.settings import StrategyName
from tests.pages import diagrams, promises, runbook
from tests.pages.document import PARTS, ROTATION, RUNBOOK, Part
from tests.pages.recording import Recorded, record

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "rotators/*/*.md")
    for path in ROOT.glob(pattern)
)
OWN_COMMANDS = {
    ("s3", "cp"): {"recursive"},
    ("logs", "tail"): {"since", "format", "filter-pattern"},
    ("cloudformation", "deploy"): {"template-file", "stack-name", "parameter-overrides", "region"},
    ("rds", "generate-db-auth-token"): {"hostname", "port", "username"},
}
"""Commands that the CLI adds to the services' operations, with their options."""
SERVICES = {"s3api": "s3"}
"""What the CLI calls otherwise than botocore."""
GLOBAL_OPTIONS = {"query", "output", "region", "cli-binary-format"}
SEQUENCE_LINE = re.compile(
    r"sequenceDiagram|    participant [A-Z] as [\w ]+|    ([A-Z])->>([A-Z]): [^;#:\n]+"
    r"|    rect rgba\(\d+, \d+, \d+, 0\.\d+\)|    end"
)
STATE_LINE = re.compile(r"stateDiagram-v2|    direction LR|    (\[\*\]|\w+) --> \w+: [\w ,()]+")
FLOW_NODE = r'\w+(\["[^"\n]+"\]|\{"[^"\n]+"\})'
FLOW_LINE = re.compile(
    rf'flowchart (LR|TD)|    subgraph \w+\["[^"\n]+"\]|    direction LR|    end|    {FLOW_NODE}'
    r"|    \w+ -->(\|[^|\n]+\|)? \w+"
)
GRAMMAR = {"sequenceDiagram": SEQUENCE_LINE, "stateDiagram-v2": STATE_LINE, "flowchart": FLOW_LINE}
"""The few constructs of Mermaid that the pages use, a line each."""


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.mark)
def test_a_page_says_what_the_code_says(part: Part) -> None:
    """What stands between the marks is what `make pages` would write."""
    assert part.read() == part.make()


def test_every_promise_is_kept_by_a_message() -> None:
    """No promise stands in the table's source for a message that is not sent any more."""
    pages = "\n".join(part.make() for part in PARTS if part.mark.startswith("promises"))
    for promise in promises.PROMISES.values():
        assert f"| {promise} |" in pages


def test_marks_are_kept_when_a_page_is_written(tmp_path: Path) -> None:
    """Writing replaces what is between the marks, leaves the rest, and can be done again."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    part = Part(page, "x", lambda: "new\nlines")
    for _ in range(2):
        part.write()
        assert page.read_text() == (
            "before\n<!-- x: begin -->\nnew\nlines\n<!-- x: end -->\nafter\n"
        )


# The runbook


def test_every_error_has_a_heading() -> None:
    """Whatever cause a log names, the page has a heading for it."""
    headings = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(kind.__name__ for kind in runbook.kinds())
    for group in runbook.GROUPS:
        assert group.__subclasses__()


def test_groups_are_never_raised() -> None:
    """An error without a heading of its own is none that a log can name."""
    groups = {kind.__name__ for kind in runbook.GROUPS}
    made = {
        node.func.id
        for folder in ("shared", "rotators", "escrow")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "LoginRefused" in made
    assert not groups & made


def test_every_remedy_is_told() -> None:
    """Each remedy has its sentence, and all but waiting the alarm of its own."""
    assert set(runbook.remedies()) == set(Remedy)
    alarms = runbook.alarms_by_remedy(load())
    assert set(alarms) == set(Remedy) - {Remedy.WAIT}


# What pages point to


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", found).lower().replace(" ", "-") for found in headings}


def dead_links(page: Path, text: str) -> list[str]:
    """Return the links to files that are not there, or to headings that are none of theirs."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = target.partition("#")
        if ":" in place:
            continue
        path = page.parent / place if place else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each link of a page leads to a file of the repository, and to one of its headings."""
    assert dead_links(ROOT / page, _text(page)) == []


def test_the_rule_about_links_objects() -> None:
    """The rule sees a file that is not there, and a heading that is none."""
    text = "[a](docs/none.md) [b](#nowhere) [c](README.md#read-on) [d](https://example.com)"
    assert dead_links(ROOT / "README.md", text) == ["docs/none.md", "#nowhere"]


def test_the_page_for_contributors_names_what_there_is() -> None:
    """Every file and folder in the table of places exists, `<driver>` standing for any."""
    places = re.findall(r"^\|.*\| (.*) \|$", _text("CONTRIBUTING.md"), re.MULTILINE)
    named = [each for place in places for each in re.findall(r"`([\w/.<>-]+)`", place)]
    assert "shared/lifecycle.py" in named
    for each in named:
        assert list(ROOT.glob(each.replace("<driver>", "*"))), each


@pytest.mark.parametrize("ability", [Session, SecondUser, OwnTwoPasswords])
def test_the_page_for_new_rotators_names_every_method(ability: type) -> None:
    """Whoever writes a rotator reads of every method that a session may have."""
    named = set(re.findall(r"`(\w+)`", _text("docs/adding-a-rotator.md")))
    assert {name for name in dir(ability) if not name.startswith("_")} <= named


def test_the_tested_version_of_sam_is_told() -> None:
    """The page about deploying names the SAM CLI that the tests ask."""
    locked = re.search(r"^aws-sam-cli==([\d.]+)", _text("requirements/sam.txt"), re.MULTILINE)
    assert locked is not None
    assert f"| SAM CLI | {locked[1]}," in _text("docs/deploy.md")


# Commands


def commands(text: str) -> Iterator[list[str]]:
    """Yield each command of the AWS CLI on a page, as a shell would hand it over."""
    blocks = re.findall(r"^ *```(?:console|sh|shell)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    typed = [
        found.removeprefix("$ ")
        for block in blocks
        for found in re.split(r"\n(?=\$ )", re.sub(r"\\\n\s*", "", block.strip()))
    ]
    inline = re.findall(r"`((?:aws|sam) [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in (*typed, *inline):
        # A blank is one word, whatever is to be filled in; a substitution is a command of its own.
        filled = re.sub(r"<[^<>\n]+>", "BLANK", line)
        nested = re.findall(r"\$\((aws .*?)\)$", filled)
        for each in (*nested, re.sub(r"\$\(\(.*?\)\)|\$\(date[^)]*\)", "1", filled)):
            words = shlex.split(each.replace(";", " && "), comments=True)
            yield from _split(words)


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in [*words, "&&"]:
        if word in {"&&", "|", ">"}:
            if command[:1] == ["aws"]:
                yield command
            command = []
        else:
            command.append(word)


def lacks(command: list[str]) -> list[str]:
    """Return what is wrong with a command, by the services' own models."""
    _, service, operation, *rest = command
    given = {word.removeprefix("--") for word in rest if word.startswith("--")}
    if (service, operation) in OWN_COMMANDS:
        return [f"--{each}?" for each in given - OWN_COMMANDS[service, operation]]
    try:
        model = botocore.session.get_session().get_service_model(SERVICES.get(service, service))
    except UnknownServiceError:
        return [f"no service {service}"]
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [f"{service} has no {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(each, "-"): each for each in (shape.members if shape else ())}
    required = {xform_name(each, "-") for each in (shape.required_members if shape else ())}
    # The CLI makes this token itself.
    required -= {"client-request-token"}
    known = members.keys() | {f"no-{each}" for each in members} | GLOBAL_OPTIONS
    return [f"--{each} is missing" for each in required - given] + [
        f"--{each}?" for each in given - known
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_complete(page: str) -> None:
    """A command on a page has all that the service asks for, and nothing that it does not know."""
    wrong = {shlex.join(each): found for each in commands(_text(page)) if (found := lacks(each))}
    assert wrong == {}


def _text(page: str) -> str:
    return (ROOT / page).read_text()


def test_the_runbook_has_commands() -> None:
    """The rule about commands finds them: those of a block, continued, piped and substituted."""
    found = [each[1:3] for each in commands(_text("docs/when-a-rotation-fails.md"))]
    for wanted in (["logs", "tail"], ["logs", "start-query"], ["logs", "get-query-results"]):
        assert wanted in found
    assert found.count(["secretsmanager", "rotate-secret"]) >= 4


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("aws secretsmanager rotate-secret", ["--secret-id is missing"]),
        ("aws secretsmanager rotate-secret --secret-id x --now", ["--now?"]),
        ("aws secretsmanager rotate --secret-id x", ["secretsmanager has no rotate"]),
        ("aws logs tail x --sicne 1d", ["--sicne?"]),
    ],
)
def test_the_rule_about_commands_objects(command: str, wrong: list[str]) -> None:
    """The rule sees an option that is missing, one that is none, and an operation that is none."""
    (found,) = commands(f"```console\n$ {command}\n```\n")
    assert lacks(found) == wrong


# Diagrams


def mermaid(text: str) -> list[list[str]]:
    """Return the lines of each diagram on a page."""
    blocks = re.findall(r"^```mermaid\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block.rstrip("\n").split("\n") for block in blocks]


def odd_lines(diagram: list[str]) -> list[str]:
    """Return the lines that are none of the constructs in use, or that leave a block open."""
    grammar = GRAMMAR.get(diagram[0].split()[0])
    if grammar is None:
        return diagram[:1]
    odd = [line for line in diagram if not grammar.fullmatch(line)]
    opened = sum(line.strip().startswith(("rect ", "subgraph ")) for line in diagram)
    closed = diagram.count("    end")
    return odd if opened == closed else [*odd, "a block is not closed"]


@pytest.mark.parametrize("page", PAGES)
def test_diagrams_keep_to_a_few_constructs(page: str) -> None:
    """Each diagram is written in the part of Mermaid that Mermaid's own parser was seen to take."""
    assert [odd_lines(diagram) for diagram in mermaid(_text(page)) if odd_lines(diagram)] == []


def test_the_rule_about_diagrams_objects() -> None:
    """The rule sees an arrow without a receiver, an open block, and another kind of diagram."""
    assert odd_lines(["sequenceDiagram", "    F->>: x"])
    assert odd_lines(["sequenceDiagram", "    rect rgba(1, 1, 1, 0.5)", "    F->>S: x"])
    assert odd_lines(["pie", "    x: 1"])


def test_there_are_diagrams() -> None:
    """The stack is drawn in the README, rotations and tables on their own page."""
    assert len(mermaid(_text("README.md"))) == 1
    assert len(mermaid(ROTATION.read_text())) == 5


def test_the_drawn_stack_is_the_templates() -> None:
    """What the README draws of the stack are resources of the template, by their names."""
    (lines,) = mermaid(_text("README.md"))
    begin = next(index for index, line in enumerate(lines) if line.startswith("    subgraph stack"))
    inside = lines[begin + 1 : lines.index("    end", begin)]
    drawn = {line.strip().partition("[")[0] for line in inside}
    functions = {name for name in load()["Resources"] if name.endswith("Rotator")}
    assert functions < drawn < load()["Resources"].keys()


@pytest.fixture(name="recorded", params=[*StrategyName])
def recorded_of(request: pytest.FixtureRequest) -> list[Recorded]:
    """Return the steps of one rotation by each strategy."""
    strategy: StrategyName = request.param
    return record(strategy, administrator=strategy is not StrategyName.SINGLE_USER)


def test_versions_go_where_the_diagram_says(recorded: list[Recorded]) -> None:
    """Each step of a recorded rotation follows an arrow of the diagram that names the step."""
    edges = diagrams.edges()
    for each in recorded:
        told = edges[each.before.name, each.after.name]
        assert any(said.startswith(each.step) for said in told)
    assert recorded[0].before is Standing.EMPTY
    assert recorded[-1].after is Standing.CURRENT


def test_every_decision_is_drawn() -> None:
    """Each row of the table of actions is in the diagram, once."""
    drawn = [
        (where, said.split()[0]) for (where, _), told in diagrams.edges().items() for said in told
    ]
    for step, where in ACTIONS:
        assert (where.name, str(step)) in drawn
    assert len(drawn) == len(ACTIONS) + 1, "besides the promotion by setSecret"
    assert set(diagrams.LEADS_TO) <= set(Action)


def test_answers_lead_to_the_verdict_of_the_table() -> None:
    """Whoever answers the diagram's questions comes to the verdict that the table has."""
    arrows = {
        (start, answer): end
        for start, answer, end in re.findall(
            r"(\w+) -->\|(yes|no)\| (\w+)", "\n".join(diagrams.verdicts().splitlines())
        )
    }
    for key, verdict in VERDICTS.items():
        node = f"question{next(iter(diagrams.QUESTIONS))}"
        while node.startswith("question"):
            place = int(node.removeprefix("question"))
            node = arrows[node, "yes" if key[place] else "no"]
        assert node == verdict.name


def test_the_search_is_drawn_in_its_order() -> None:
    """The diagram leads from each source to the next one of the table."""
    text = diagrams.searches()
    for first, second in pairwise(SEARCH):
        assert f"alone{first.name} -->|refused| alone{second.name}" in text


def test_refusals_are_coloured_where_one_user_has_one_password() -> None:
    """AWSCURRENT is refused between change and promotion of a single user, and nowhere else."""
    for strategy in StrategyName:
        alone = strategy is StrategyName.SINGLE_USER
        refused = [
            (each.step, message.name)
            for each in record(strategy, administrator=not alone)
            for message in each.messages
            if message.is_refused and message.name not in diagrams.LEFT_OUT
        ]
        is_single = strategy.startswith("single-user")
        one_login_one_request = [
            (Step.SET, "log in"),
            (Step.SET, "UpdateSecretVersionStage"),
        ]
        assert refused == (one_login_one_request if is_single else [])
