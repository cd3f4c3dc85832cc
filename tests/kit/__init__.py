"""For people who add rotators: crash replay on real servers, and an oracle of users' rights.

=====================  =============================================================================
:mod:`.contract`       what is asked of every rotator: the classes to subclass
:mod:`.plugin`         what pytest needs for it
:mod:`.worlds`         the worlds of this project's engines
:mod:`.broken`         broken rotators, which prove the contract tests
:mod:`.function`       the rotation function in a process of its own, which can be killed
:mod:`.boundaries`     the moments at which it is killed or held: numbered, the same in every run
:mod:`.oracles`        what a user may do, found out by acting as that user
:mod:`.pairs`          which engine is proven with which strategy
:mod:`.lane`           service, proxy, function and oracle together, for one secret after another
:mod:`.matrix`         every kill, each way of recovery, storms of kills
:mod:`.restarts`       kills, and a crash of the server after them
:mod:`.twins`          a lane whose function has two environments, one of them held
:mod:`.pauses`         every hold, each way to go on meanwhile
:mod:`.digest`         which code a proof was made on
:mod:`.failure_modes`  the tables in ``docs/failure-modes.md``, written by the run
=====================  =============================================================================

What runs whole rotations imports neither ``shared`` nor ``rotators``: the function is reached as
Secrets Manager reaches it, by its handler's name, and what it did is looked up in the service and
in the database.
"""
