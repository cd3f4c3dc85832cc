"""What a rotation will need, looked at without changing anything.

A *check* is one line of the examination, a *finding* its value: a code of the registry
(:mod:`shared.examination.registry`), a level, what was seen and what to do. A check that is well
finds nothing. The examination runs on after a failure; what cannot be looked at because of it says
so, with the code of what stands in the way.

Never imported by a rotation itself.
"""
