"""A Lambda execution environment on this machine, without containers.

`LambdaRuntime` starts a handler under AWS's own runtime client (``awslambdaric``), in a process of
its own, and answers that client as the Lambda service does: one invocation at a time, a deadline
that ends in a kill, a new environment after a crash. The code may be the repository or what
`make build` made of it.
"""

from local.lambda_runtime.runtime import (
    FunctionError,
    FunctionTimedOut,
    LambdaRuntime,
    Report,
    RuntimeExited,
)

__all__ = ["FunctionError", "FunctionTimedOut", "LambdaRuntime", "Report", "RuntimeExited"]
