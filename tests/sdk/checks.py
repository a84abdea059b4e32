"""Runs checks one after another and prints one line for each: `ok NAME` or `FAILED NAME: why`."""

import json
import os
import subprocess
import sys
import time
import traceback

URL = os.environ["PROXYLM_URL"]
KEY = os.environ["PROXYLM_KEY"]
CLIENT = {"api_key": KEY, "timeout": 30, "max_retries": 0}


def run(suite, checks):
    """Runs every check; one that raises has failed. Ends the program with 1 if any has."""
    failed = 0
    for check in checks:
        name = f"{suite}: {check.__name__.replace('_', ' ')}"
        try:
            check()
            print(f"ok {name}", flush=True)
        except Exception as error:
            failed += 1
            place = traceback.extract_tb(error.__traceback__)[1:2]
            line = f" (line {place[0].lineno})" if place else ""
            print(f"FAILED {name}: {type(error).__name__}: {' '.join(str(error).split())}{line}", flush=True)
    sys.exit(1 if failed else 0)


def raised(kind, call):
    """Returns the error of this kind that the call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def same(found, wanted):
    """Fails, showing both, unless they are equal."""
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def nothing_live():
    """Waits until the instance holds no request any more."""
    command = [os.environ["PROXYLM_BIN"], "ctl", "--run-dir", os.environ["PROXYLM_RUN_DIR"], "--json", "requests"]
    end = time.monotonic() + 10
    while True:
        live = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=10).stdout)
        if not live:
            return
        if time.monotonic() > end:
            raise AssertionError(f"{len(live)} requests are still live, the first is {live[0].get('state')}")
        time.sleep(0.05)
