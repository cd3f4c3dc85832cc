"""mutmut, with tests that are collected once; ``make mutants`` runs it.

    .venv-mutants/bin/python -I tests/kit/collect_once.py run shared.plan.*

mutmut itself starts pytest anew for every change, and to collect a hundred tests takes longer than
to run them. Here the process that mutmut forks for each change begins with tests that are collected
and a session whose fixtures are made.

Not a module of the package: what ``tests`` and ``shared`` are is decided by mutmut, which runs a
copy of both.
"""

import sys
from collections.abc import Iterable, Sequence
from time import perf_counter

import mutmut.__main__ as program
import pytest
from _pytest.config import _prepareconfig
from mutmut.runners.harness import ListAllTestsResult, PytestRunner
from mutmut.state import state
from mutmut.utils.file_utils import change_cwd
from mutmut.workers import isolation
from mutmut.workers.isolation import ForkRunner, run_in_fork

QUIET = ("--rootdir=.", "--capture=no", "-p", "no:terminalreporter")


class Collected(PytestRunner):  # type: ignore[misc] # mutmut is in an environment of its own
    """Runs tests that were collected once, the ones that need least time first."""

    def __init__(self) -> None:
        super().__init__()
        self._session: pytest.Session | None = None

    def _collected(self) -> pytest.Session:
        """Return the one session, which never ends."""
        if self._session is None:
            settings = program.config()
            chosen = settings.pytest_add_cli_args_test_selection
            config = _prepareconfig([*QUIET, *settings.pytest_add_cli_args, *chosen])
            config._do_configure()
            self._session = pytest.Session.from_config(config)
            config.hook.pytest_sessionstart(session=self._session)
            config.hook.pytest_collection(session=self._session)
        return self._session

    def _items(self, names: Iterable[str]) -> Sequence[pytest.Item]:
        """Return the tests of these names, in this order; all of them where there is no name."""
        items = {item.nodeid: item for item in self._collected().items}
        return [items[name] for name in names] or [*items.values()]

    def _fails(self, item: pytest.Item, following: pytest.Item) -> bool:
        session = self._collected()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return session.testsfailed > 0

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        """Run tests until one fails; return 1 then, else 0."""
        del mutant_name
        with change_cwd("mutants"):
            items = self._items(tests)
            # The one after the last: what the whole session shares is not ended.
            following = [*items[1:], self._collected().items[0]]
            return int(any(map(self._fails, items, following)))

    def run_stats(self, *, tests: Iterable[str]) -> int:
        """Run tests, and note how long each takes, and which functions it calls."""
        with change_cwd("mutants"):
            items = self._items(tests)
            for item, following in zip(items, [*items[1:], items[0]], strict=True):
                state()._stats.clear()
                began = perf_counter()
                if self._fails(item, following):
                    print(f"{item.nodeid} fails without any change")  # noqa: T201 - for a person
                    return 1
                state().duration_by_test[item.nodeid] = perf_counter() - began
                for function in state()._stats:
                    state().tests_by_mangled_function_name[function].add(item.nodeid)
        return 0

    def run_forced_fail(self) -> int:
        """Run the tests where every changed function fails, in a process of its own."""
        status: int = run_in_fork(lambda: self.run_tests(mutant_name=None, tests=[]))
        return status

    def list_all_tests(self) -> ListAllTestsResult:
        """Name the tests."""
        with change_cwd("mutants"):
            return ListAllTestsResult(ids={item.nodeid for item in self._collected().items})


if __name__ == "__main__":
    # It would end whoever has a number later that one of these processes had. pytest's own limit,
    # and one of processor time, end what takes too long.
    isolation.register_timeout = lambda **_options: None
    program.get_mutant_runner = lambda processes=1: ForkRunner(processes, Collected())
    sys.exit(program.cli())
