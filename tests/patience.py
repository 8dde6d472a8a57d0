"""How long tests wait for what other threads, processes and kernels do.

Only a failure waits so long: a machine may be as slow and as busy as it likes, and is not at fault.
"""

PATIENCE_S = 300.0
