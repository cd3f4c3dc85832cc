"""How much the framework costs: `python -m local.bench`, or `make bench`.

Everything is measured against a *floor*, in the same run, on real servers with TLS verified: a
script without the framework that does the same work. Absolute times say much about the machine and
little about the code; ratios stay.

What is compared
================

Cold start
    From the start of a fresh interpreter until the first `createSecret` has returned. The floor
    imports boto3 and the driver, makes the client, and makes the same three calls
    (DescribeSecret, GetSecretValue, PutSecretValue). It has no Lambda Powertools, no logging, no
    password generator, and looks at nothing that it reads but the password.

Warm rotation
    The four steps of a single-user rotation in an interpreter that has rotated before. The floor
    makes the same calls, the same three logins and the same statements, in the same order, in one
    function without a single decision, and also keeps its SDK client and, for PyMySQL, its TLS
    context. A test holds the two to the same calls, logins and statements.

Memory
    The highest resident size of the function's process after its rotations, against a limit.

How
===

Pairs, interleaved and in alternating order, so that a busy moment of the machine meets both sides
alike; the ratio is the median of the pairs' ratios. A bar that is missed is measured once more with
more pairs, and then counts.

The endpoint answers in about a millisecond and the databases are on loopback, so nothing hides
behind a network: on AWS both sides wait longer, and the ratios come nearer to 1.

================  ================================================================================
`conversation`    how a measured process is talked to: in both sides alike
`function`        the measured process: the rotation function
`bare`            the floor: a rotation's calls to Secrets Manager
`bare_postgres`   the measured process: the floor with psycopg
`bare_mysql`      the measured process: the floor with PyMySQL
`measurements`    pairs, medians, bars
================  ================================================================================
"""
