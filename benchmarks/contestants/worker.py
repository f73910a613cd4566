"""A resident process of one contestant: it builds cases and takes one timed step whenever it is told to.

Started by `speed.py` with the contestant's own Python; needs nothing but the standard library and what the contestant's
module imports. Talks in lines of JSON over standard input and output; whatever packages print goes to standard error.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
from typing import Any


def memory(field: str) -> float:
    """A field of /proc/self/status in MB."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Start the count of this process' peak memory anew (Linux)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def build(contestant: Any, case: dict) -> tuple[Any, dict]:
    """The step of a case, after two rounds of it, and what they took."""
    gc.collect()
    forget_peak()
    before = memory("VmRSS")
    step, facts = contestant.prepare(case)
    start = time.perf_counter()
    step()
    facts["first_call_s"] = time.perf_counter() - start
    step()
    return step, {**facts, "memory_mb": memory("VmHWM") - before}


def main() -> None:
    """Serve until the input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contestant, step = importlib.import_module(sys.argv[1]), None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request == "step":
                start = time.perf_counter()
                step()
                reply = time.perf_counter() - start
            else:
                step = None
                step, reply = build(contestant, request)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
