"""The command `rotation`: what a person does with rotations, from outside.

It talks to AWS, never to a database of its own accord, and never reads a secret's value to tell how
things stand: labels, dates, tags and the functions' logs say it. What a word, a label or an error
means it takes from `shared/`.

======================  ============================================================================
:mod:`.app`             the command line: options, exit status
:mod:`.outcome`         exit statuses, and what ends a command early
:mod:`.screen`          what is said: tables, the verdict, JSON; nothing from outside steers it
:mod:`.account`         the clients of AWS's services, at the services' quotas
:mod:`.fleet`           secrets: which are meant, what the service tells of them
:mod:`.functions`       the functions that rotate them
:mod:`.log`             what these have written to their logs
:mod:`.condition`       how a secret stands, and why: a table
======================  ============================================================================

Each command has a module of its own name besides.
"""
