"""The local Lambda runtime treats a function as Lambda does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import pytest

from local.lambda_runtime import FunctionError, FunctionTimedOut, LambdaRuntime, RuntimeExited

FUNCTION = """
import os, time

print("initialised")

def handler(event, context):
    print("invoked")
    match event["do"]:
        case "answer":
            return {"memory": context.memory_limit_in_mb, "variables": sorted(os.environ)}
        case "raise":
            raise LookupError("nothing here")
        case "sleep":
            time.sleep(60)
        case "exit":
            os._exit(3)
        case "remaining":
            return context.get_remaining_time_in_millis()
        case "echo":
            print("echoes", event["what"])
            time.sleep(0.01)
            return event["what"]
        case "allocate":
            return len(bytearray(1024 * 1024 * 1024))
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[LambdaRuntime]:
    """An environment for a function that does what its event says, within two seconds."""
    (tmp_path / "function.py").write_text(FUNCTION)
    with LambdaRuntime(
        "function.handler",
        path=[tmp_path],
        environment={"SETTING": "x"},
        timeout_seconds=2,
        memory_mb=300,
    ) as running:
        yield running


def test_a_function_is_initialised_once(runtime: LambdaRuntime) -> None:
    """The first invocation is cold, the next ones find the same process."""
    runtime.invoke({"do": "answer"})
    first = runtime.pid
    runtime.invoke({"do": "answer"})
    assert runtime.pid == first
    assert runtime.log.count("initialised") == 1
    cold, warm = runtime.reports
    assert cold.init_milliseconds is not None
    assert warm.init_milliseconds is None
    assert cold.billed_milliseconds >= cold.milliseconds + cold.init_milliseconds


def test_a_function_sees_its_own_variables_only(
    runtime: LambdaRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process has in its environment does not reach the function."""
    monkeypatch.setenv("SOMETHING_OF_THE_DEVELOPER", "x")
    answer = runtime.invoke({"do": "answer"})
    assert isinstance(answer, dict)
    assert "SETTING" in answer["variables"]
    assert "SOMETHING_OF_THE_DEVELOPER" not in answer["variables"]
    assert answer["memory"] == "300"


def test_many_threads_take_turns(runtime: LambdaRuntime) -> None:
    """An environment serves one invocation at a time; others wait, and each gets its own answer."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: runtime.invoke({"do": "echo", "what": n}), range(24)))
    assert answers == list(range(24))
    assert len(runtime.reports) == 24


def test_a_listener_hears_each_invocation_by_itself(runtime: LambdaRuntime) -> None:
    """What a function writes in one invocation is told at its end, a failed one's too."""
    heard: list[str] = []
    runtime.listener = heard.append
    for what in ("first", "second"):
        runtime.invoke({"do": "echo", "what": what})
    with pytest.raises(FunctionError):
        runtime.invoke({"do": "raise"})
    first, second, third = heard
    assert first.splitlines() == ["initialised", "invoked", "echoes first"]
    assert second.splitlines() == ["invoked", "echoes second"]
    assert "nothing here" in third


def test_an_exception_is_told_and_survived(runtime: LambdaRuntime) -> None:
    """The error's class and text arrive, and the environment goes on."""
    with pytest.raises(FunctionError, match="nothing here") as raised:
        runtime.invoke({"do": "raise"})
    assert raised.value.type == "LookupError"
    before = runtime.pid
    runtime.invoke({"do": "answer"})
    assert runtime.pid == before


def test_a_function_is_killed_at_its_deadline(runtime: LambdaRuntime) -> None:
    """It ends within its timeout, and the next invocation is cold."""
    with pytest.raises(FunctionTimedOut):
        runtime.invoke({"do": "sleep"})
    assert 1900 <= runtime.reports[-1].milliseconds <= 5000
    assert runtime.pid is None
    runtime.invoke({"do": "answer"})
    assert runtime.reports[-1].init_milliseconds is not None


def test_a_function_that_exits_is_noticed(runtime: LambdaRuntime) -> None:
    """A process that ends by itself is an error, and is replaced."""
    with pytest.raises(RuntimeExited, match="status 3"):
        runtime.invoke({"do": "exit"})
    runtime.invoke({"do": "answer"})


def test_a_function_can_be_killed_from_outside(runtime: LambdaRuntime) -> None:
    """A kill in the middle of an invocation ends it with an error, and the next one works."""
    runtime.invoke({"do": "answer"})
    Timer(0.2, runtime.kill).start()
    with pytest.raises(RuntimeExited):
        runtime.invoke({"do": "sleep"})
    runtime.invoke({"do": "answer"})


def test_a_killed_environment_takes_no_event_of_the_next(runtime: LambdaRuntime) -> None:
    """An environment that was killed while it waited for work does not swallow an event."""
    for _ in range(3):
        runtime.invoke({"do": "answer"})
        runtime.kill()


def test_the_remaining_time_is_the_deadlines(runtime: LambdaRuntime) -> None:
    """The function knows how long it has."""
    remaining = runtime.invoke({"do": "remaining"})
    assert isinstance(remaining, int)
    assert 1500 <= remaining <= 2000


def test_memory_is_limited(runtime: LambdaRuntime) -> None:
    """A function cannot take more than its memory."""
    with pytest.raises(FunctionError) as raised:
        runtime.invoke({"do": "allocate"})
    assert raised.value.type == "MemoryError"


def test_a_function_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    """A missing module is Lambda's own error, not a wait."""
    with LambdaRuntime("nowhere.handler", path=[tmp_path]) as runtime:
        with pytest.raises(FunctionError) as raised:
            runtime.invoke({})
        assert raised.value.type == "Runtime.ImportModuleError"
