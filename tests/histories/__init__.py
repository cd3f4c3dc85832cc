"""Every history of two deliveries, and of two faults, that a rotation may live through.

The function's own code runs on the simulated engine and on the local service's operations, one
message at a time, under a scheduler that decides what happens before each message. A *message* is
whatever leaves the function: a request to Secrets Manager, a login, the lock, a statement, the end
of a session. Between two messages a delivery touches nothing, so that "after this one" and "before
the next one" are the same moment: to hold, or to kill, a delivery before each of its messages is
to do so everywhere.

====================  ==============================================================================
:mod:`.world`         one secret, one database, deliveries, faults, and what must hold
:mod:`.scheduler`     lets deliveries run by turns
:mod:`.search`        the histories: what is done to a rotation, and at which message
:mod:`.record`        the committed result, and the code that it is the result of
====================  ==============================================================================

``python -m tests.histories`` searches all of it, in two processes, and writes the record.
"""
