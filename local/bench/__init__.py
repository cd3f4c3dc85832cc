"""How much the framework costs: `python -m local.bench`, or `make bench`.

Everything is measured against a *floor*, in the same run, on real servers with TLS verified: a
script without the framework that does the same work. Absolute times say much about the machine and
little about the code; ratios stay. `record.json` keeps the last ones, which are printed beside, and
a ratio that has grown is warned of; how many calls, logins and messages of statements a rotation
makes stands there too, and a test holds it.

What is compared
================

Cold start
    From the start of a fresh interpreter until the first `createSecret` has returned, and until the
    whole rotation has. The floor imports boto3, the driver when it first logs in, and nothing else.

Warm rotation
    The four steps, by every strategy, in an interpreter that has rotated before. The floor sends
    what a recorded rotation of the function has sent, call by call, login by login, statement by
    statement, with values of its own, and decides nothing. A test holds the two to the same.

Imports
    What our own modules and Powertools add to an interpreter that has the SDK, against a limit.

Memory
    The highest resident size of the function's process after its rotations, against a limit.

How
===

Pairs, interleaved and in alternating order, so that a busy moment of the machine meets both sides
alike; the ratio is the median of the pairs' ratios. A bar that is missed is measured once more with
more pairs, and then counts. `--write` keeps the ratios: on a quiet machine.

The endpoint answers in about a millisecond and the databases are on loopback, so nothing hides
behind a network: on AWS both sides wait longer, and the ratios come nearer to 1.

================  ================================================================================
`conversation`    how a measured process is talked to: in both sides alike
`function`        the measured process: the rotation function
`bare`            the measured process: the floor
`recording`       what a function sends, noted
`script`          the same, ready to be sent again by the floor
`measurements`    pairs, medians, bars
`record`          the last ratios, and the counts
================  ================================================================================

Instead of comparing, `python -m local.bench` followed by

================  ================================================================================
`fleet 1000`      rotates so many secrets: docs/scale.md
`load`            rotates while twenty clients (`busy`) work, and tells what they notice
`crowd`           rotates where there are ten thousand users
================  ================================================================================
"""
