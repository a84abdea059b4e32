"""Runs one SDK's cases against every backend and prints a line for each cell: `cell BACKEND CASE STATE why`, by tabs."""

import json
import os
import time
import traceback
import urllib.request

URL = os.environ["PROXYLM_URL"]
KEY = os.environ["PROXYLM_KEY"]
UPSTREAMS = json.loads(os.environ["PROXYLM_UPSTREAMS"])  # backend: address

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PNG_BYTES = 70
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ROME = {"city": "Rome", "days": 3}
TWO = [{"city": "Rome"}, {"city": "Oslo", "days": 1}]
ANSWERS = ["sunny", "rain"]
RESULTS = "Rome: sunny; Oslo: rain"


def model(backend):
    return f"model-{backend}"


def hello(backend):
    return f"Hello from {model(backend)}, naïve 世界."


def run(cases, cannot):
    """Runs every case for every backend. `cannot` names the cells that cannot exist: (backend or None, case): why."""
    for backend in UPSTREAMS:
        for case in cases:
            name = case.__name__
            why = cannot.get((backend, name)) or cannot.get((None, name))
            try:
                case(backend)
                state, why = ("ok", "") if not why else ("FAILED", f"works, but is said not to exist: {why}")
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[1:2]
                line = f" (line {place[0].lineno})" if place else ""
                text = " ".join(str(error).split())[:400]
                state, why = ("none", why) if why else ("FAILED", f"{type(error).__name__}: {text}{line}")
            print("\t".join(["cell", backend, name, state, why]), flush=True)


def same(found, wanted):
    """Fails, showing both, unless they are equal."""
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def used(found, cached=None):
    """Checks the usage: tokens of the prompt with cached ones, tokens generated, and cached ones where they are told."""
    same(found, (25, 12) if cached is None else (25, 12, cached))


def left(backend):
    """How many streams of the backend were left before their end."""
    with urllib.request.urlopen(f"{UPSTREAMS[backend]}/seen", timeout=10) as response:
        return json.load(response)["left"]


def leaves(backend, before):
    """Waits until the backend has noticed that one more stream was left."""
    end = time.monotonic() + 10
    while left(backend) <= before:
        if time.monotonic() > end:
            raise AssertionError("the backend still generates")
        time.sleep(0.02)


def raised(kind, call):
    """Returns the error of this kind that the call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")
