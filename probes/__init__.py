"""Probes: questions to a live AWS account, answered where no simulator knows the answer.

``make verify-live`` runs them. Each module is one probe of ``docs/aws-facts.md``: a table of its
questions by id, and a generator of answers. What relies on an answer, says that page, which names
the ids; the report quotes it.

=====================  ==========================================================================
:mod:`.labels`         P1: labels and versions of a secret
:mod:`.messages`       P2: alarms, events, topics
:mod:`.rotations`      P3: what Secrets Manager does with a function, :mod:`.function`
:mod:`.keys`           P4: keys of one's own
:mod:`.account`        every call; what was made, and its removal
:mod:`.report`         the page that a run writes
=====================  ==========================================================================

Everything has one prefix in its name, is written down before it is made, and is removed at the end
of its probe, also after Ctrl-C or a failure. Nothing else is touched.
"""
