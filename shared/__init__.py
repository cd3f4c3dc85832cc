"""The core of the rotation framework: what every rotator shares, whatever its engine.

Nothing here imports a database driver or a rotator. Start reading at :mod:`shared.rotator`.
"""
