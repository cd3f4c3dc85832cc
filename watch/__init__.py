"""The scheduled check: which rotations did not happen.

It stands apart from ``shared`` and ``rotators``, and carries neither: what watches over the
rotation must not fail for the same reasons.
"""
