"""Escrow of rotated credentials, by envelope encryption; opt-in, and no part of the core.

A rotation function to which :mod:`.sealing` was given seals every credential before the database
learns of it: under a fresh data key, which two keys wrap that know nothing of each other. Either
opens it when the other is gone, and Secrets Manager is not asked.

===============  ==================================================================================
:mod:`.record`   what is sealed, and the bytes that it becomes: cryptography, and no I/O
:mod:`.sealing`  what a function calls, with the rights to seal and none to open
:mod:`.errors`   how sealing and opening fail
:mod:`.keys`     opens a record with one of its keys
:mod:`.bucket`   finds and fetches records
:mod:`.drill`    opens the newest record by the second key alone, and logs in with it
:mod:`.command`  ``rotation escrow``, what people type
===============  ==================================================================================
"""
