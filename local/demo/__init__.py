"""A demonstration on real databases: `python -m local.demo`, or `make demo`.

It starts Secrets Manager on loopback and servers of PostgreSQL, MySQL, MariaDB and Valkey that
demand TLS, and rotates a secret for each engine and strategy, while a client that reads AWSCURRENT
and logs in afresh runs without pause. Once it kills the rotation function in the middle. It tells
what happens as it happens, and ends with status 0 only if every claim that it prints held.

Nothing is simulated but the service itself: the functions run under AWS's own Lambda runtime
client, in processes of their own, and every number is counted in a log or measured by the client.

=============  ==================================================================================
`terminal`     lines, colours, and a status line where a person looks on
`world`        everything that a rotation needs: started together, stopped together
`logins`       how many logins a server has seen, read from its log
`scenes`       the table: engine and strategy, and what must hold
`performance`  one scene carried out and told
=============  ==================================================================================
"""
