"""Broken rotators: one for each promise, a small diff of a good one, found out by the test for it.

``python -m tests.kit.broken`` lets each of them run the one test that is named for it, and prints
how many failed it; all of them must. That the good ones pass everything, ``tests/conformance``
says.

==================  ================================================================================
:mod:`.defect`      what a defect is, and the list of them
:mod:`.connects`    rotators whose ``connect`` is broken
:mod:`.sessions`    sessions that break a promise about passwords, accounts or time
:mod:`.locks`       sessions that break a promise about the lock
:mod:`.abilities`   declarations, second users and two passwords that are broken
:mod:`.classes`     the classes that pytest collects: one for each
:mod:`.handlers`    the functions of those that whole rotations find out
==================  ================================================================================
"""
