"""Every official SDK against a backend of every dialect: starts the scripted upstreams and proxylm, runs the cases, and prints
the table. Ends with 1 if a cell failed. `matrix.py openai.py gemini.py` runs only these.

Needs PROXYLM_BIN, and the SDKs that `run.sh` installs.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
KEY = "sk-sdk-matrix"
CLIENTS = {
    "openai.py": [sys.executable, "matrix_openai.py"],
    "openai.py responses": [sys.executable, "matrix_responses.py"],
    "anthropic.py": [sys.executable, "matrix_anthropic.py"],
    "google-genai.py": [sys.executable, "matrix_gemini.py"],
    "ollama.py": [sys.executable, "matrix_ollama.py"],
    "openai.mjs": ["node", "matrix_openai.mjs"],
    "anthropic.mjs": ["node", "matrix_anthropic.mjs"],
}
LIMIT = 300  # seconds for one SDK


def config(folder, addresses):
    """A configuration with one backend for each upstream, which speaks its dialect and no other."""
    backends = []
    for name, address in addresses.items():
        backend = {"name": name, "type": name, "url": address, "dialects": [name], "slots": 4}
        if name != "ollama":
            backend["api_key"] = f"key-{name}"
        backends.append(backend)
    return {
        "proxy": {"host": "127.0.0.1", "port": 0, "shutdown_grace_seconds": 2},
        "auth": {"api_keys": [{"name": "matrix", "key": KEY}]},
        "storage": {"database_path": str(folder / "history.db")},
        "retry": {"max_attempts": 1},
        "backends": backends,
    }


def started_upstreams():
    command = [sys.executable, "-m", "upstreams.server"]
    upstreams = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = [upstreams.stdout.readline().split() for _ in range(5)]
    return upstreams, {name: address for name, address in lines}


def started_proxylm(folder, addresses):
    path = folder / "config.json"
    path.write_text(json.dumps(config(folder, addresses)))
    path.chmod(0o600)
    command = [os.environ["PROXYLM_BIN"], "serve", "--config", str(path), "--run-dir", str(folder / "run")]
    log = open(folder / "stderr", "w")
    out = folder / "stdout"
    process = subprocess.Popen([*command, "--log-level", "warning"], stdout=open(out, "w"), stderr=log)
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        for word in out.read_text().split():
            if word.startswith("http://127.0.0.1"):
                return process, word
        time.sleep(0.05)
    sys.exit(f"proxylm did not start:\n{out.read_text()}{(folder / 'stderr').read_text()}")


def cells_of(command, env):
    """The lines of one SDK: [(backend, case, state, why)]."""
    try:
        done = subprocess.run(command, cwd=HERE, env=env, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return [("", "all", "FAILED", f"took more than {LIMIT} s")]
    cells = [tuple(line.split("\t")[1:]) for line in done.stdout.splitlines() if line.startswith("cell\t")]
    if done.returncode != 0:
        cells.append(("", "all", "FAILED", f"ended with {done.returncode}: {done.stderr.strip()[-300:]}"))
    return cells


def table(found, backends):
    """The matrix in Markdown: a row for each SDK and case, a column for each backend."""
    notes = []
    lines = [f"| client | case | {' | '.join(backends)} |", f"|---|---|{'---|' * len(backends)}"]
    for client, cells in found.items():
        for case in dict.fromkeys(case for _, case, _, _ in cells):
            states = {backend: (state, why) for backend, named, state, why in cells if named == case}
            marks = []
            for backend in backends:
                state, why = states.get(backend, ("–", ""))
                if state == "none":
                    if why not in notes:
                        notes.append(why)
                    state = f"– ({notes.index(why) + 1})"
                marks.append(state)
            lines.append(f"| {client} | {case.replace('_', ' ')} | {' | '.join(marks)} |")
    return "\n".join(lines + [""] + [f"({place}) {why}." for place, why in enumerate(notes, 1)])


def main():
    wanted = sys.argv[1:] or list(CLIENTS)
    upstreams, addresses = started_upstreams()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        proxylm, url = started_proxylm(folder, addresses)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_"))}
        env |= {"PROXYLM_URL": url, "PROXYLM_KEY": KEY, "PROXYLM_UPSTREAMS": json.dumps(addresses)}
        found = {client: cells_of(CLIENTS[client], env) for client in wanted}
        proxylm.send_signal(signal.SIGTERM)
        proxylm.wait(timeout=20)
        log = (folder / "stderr").read_text()
    upstreams.stdin.close()
    upstreams.wait(timeout=10)
    print(table(found, list(addresses)))
    failed = [(client, *cell) for client, cells in found.items() for cell in cells if cell[2] == "FAILED"]
    for client, backend, case, _, why in failed:
        print(f"FAILED matrix {client} to {backend}, {case}: {why}")
    if failed and log:
        print("proxylm's log:", log[-3000:], sep="\n")
    total = sum(len(cells) for cells in found.values())
    print(f"matrix: {total - len(failed)} of {total} cells are as they should be")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
