"""Search every history, in two processes, and write the record: ``python -m tests.histories``.

Arguments choose parts by what their names hold, and then nothing is written:
``python -m tests.histories "dual-password" "held,"``. ``--require-fresh`` searches nothing: it ends
with 1 where the record was made on other code.
"""

import multiprocessing
import sys
import time

from tests.histories.record import Record, code, note_on_stale_record, parts, work

PROCESSES = 2
REQUIRE_FRESH = "--require-fresh"


def main(words: list[str]) -> int:
    """Search the parts whose names hold all words; record, where that is all and nothing is lost.

    Returns:
        1 where something was lost, or where the record is stale.
    """
    if words == [REQUIRE_FRESH]:
        note = note_on_stale_record()
        print(note or "The record is fresh.")  # noqa: T201
        return int(note is not None)
    chosen = [part for part in parts() if all(word in part.row for word in words)]
    record = Record(code(), {})
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for part, row, seconds, told in pool.imap_unordered(work, chosen, chunksize=1):
            record.rows[part.row] = row
            documented = "".join(f", {number} {name}" for name, number in row.documented.items())
            print(  # noqa: T201 (this is a command)
                f"{row.histories:7} histories, {row.lost:5} lost{documented}: {part.row} "
                f"({seconds:.0f} s)",
                *told,
                sep="\n",
                flush=True,
            )
    histories = sum(row.histories for row in record.rows.values())
    lost = sum(row.lost for row in record.rows.values())
    seconds = time.perf_counter() - began
    print(f"{histories} histories of {record.code}, {lost} lost, in {seconds:.0f} s")  # noqa: T201
    if not words and not lost:
        record.write()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
