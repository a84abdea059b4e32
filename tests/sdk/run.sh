#!/usr/bin/env bash
# The official SDKs against a running `proxylm serve`: those of OpenAI and Anthropic, Python and JavaScript, with three fake
# backends; then all of them, Google's and Ollama's too, with a scripted upstream of each dialect (matrix.py). Installs the
# pinned SDKs into this folder, starts an instance of its own, checks, and stops it. PROXYLM_BIN names another binary than
# target/debug/proxylm. The last line counts what passed and what failed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${PROXYLM_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/proxylm}
[[ $bin = /* ]] || bin=$PWD/$bin

passed=0
failed=0
scratch=
instance=

# Runs a command with a bound in seconds, where the system has `timeout`.
bounded() {
  local seconds=$1
  shift
  if command -v timeout >/dev/null; then timeout --kill-after=5 "$seconds" "$@"; else "$@"; fi
}

stop_instance() {
  [[ -n $instance ]] || return 0
  kill -TERM "$instance" 2>/dev/null || true
  local turn
  for turn in {1..100}; do
    kill -0 "$instance" 2>/dev/null || break
    [[ $turn -lt 100 ]] || kill -KILL "$instance" 2>/dev/null || true
    sleep 0.1
  done
  wait "$instance" 2>/dev/null || true
  instance=
}

clean_up() {
  stop_instance
  if [[ -n $scratch ]]; then rm -rf "$scratch"; fi
}
trap clean_up EXIT
# So that Ctrl-C cleans up too.
trap 'exit 130' INT TERM

fail() {
  echo "FAILED $*"
  failed=$((failed + 1))
}

# Each installs its SDKs if they are not there yet. 0: ready; 1: skipped or failed, and said so.
python_ready() {
  if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "SKIPPED the Python SDKs: python3 with venv and pip is not installed"
    return 1
  fi
  local stamp=$here/.venv/installed.txt
  cmp -s "$here/requirements.txt" "$stamp" && return 0
  if bounded 120 python3 -m venv "$here/.venv" &&
    bounded 600 "$here/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"; then
    cp "$here/requirements.txt" "$stamp"
    return 0
  fi
  fail "the Python SDKs could not be installed"
  return 1
}

node_ready() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "SKIPPED the JavaScript SDKs: node and npm are not installed"
    return 1
  fi
  local stamp=$here/node_modules/installed.json
  cmp -s "$here/package-lock.json" "$stamp" && return 0
  if (cd "$here" && bounded 600 npm ci --loglevel=error); then
    cp "$here/package-lock.json" "$stamp"
    return 0
  fi
  fail "the JavaScript SDKs could not be installed"
  return 1
}

start_instance() {
  cat >"$scratch/config.yaml" <<YAML
proxy:
  host: 127.0.0.1
  port: 0
  shutdown_grace_seconds: 5
  heartbeat_seconds: 0.05
auth:
  api_keys:
    - name: sdk
      key: $PROXYLM_KEY
storage:
  database_path: $scratch/history.db
backends:
  - name: fake-a
    type: fake
    fake: { models: [fake-small, fake-large], load_seconds: 0.2, word_ms: 5, words: 40 }
  - name: fake-b
    type: fake
    fake: { models: [fake-small, fake-other], load_seconds: 0.2, word_ms: 5, words: 3000 }
  - name: fake-c
    type: fake
    slots: 1
    fake: { models: [fake-slow, fake-late], load_seconds: 3, word_ms: 5, words: 40 }
YAML
  chmod 600 "$scratch/config.yaml"
  "$bin" serve --config "$scratch/config.yaml" --run-dir "$PROXYLM_RUN_DIR" --log-level warning \
    >"$scratch/stdout" 2>"$scratch/stderr" &
  instance=$!
  local turn
  for turn in {1..200}; do
    PROXYLM_URL=$(sed -n 's/^.*listening on \(http:[^ ]*\).*$/\1/p' "$scratch/stdout" | head -n 1)
    [[ -z $PROXYLM_URL ]] || break
    kill -0 "$instance" 2>/dev/null || break
    [[ $turn -lt 200 ]] && sleep 0.1
  done
  if [[ -z $PROXYLM_URL ]]; then
    echo "proxylm did not start:"
    cat "$scratch/stdout" "$scratch/stderr"
    return 1
  fi
  export PROXYLM_URL
}

# Runs one file of checks, shows its lines and counts them.
check() {
  local name=$1 status=0 bad
  shift
  bounded 180 "$@" >"$scratch/checks" 2>&1 || status=$?
  cat "$scratch/checks"
  passed=$((passed + $(grep -c '^ok ' "$scratch/checks" || true)))
  bad=$(grep -c '^FAILED ' "$scratch/checks" || true)
  failed=$((failed + bad))
  if [[ $status -ne 0 && $bad -eq 0 ]]; then fail "$name: ended with $status"; fi
}

# Runs these SDKs against a backend of every dialect, shows the table and counts the cells.
matrix() {
  local status=0 bad
  bounded 900 "$here/.venv/bin/python" "$here/matrix.py" "$@" >"$scratch/matrix" 2>&1 || status=$?
  cat "$scratch/matrix"
  passed=$((passed + $(grep -o '| ok ' "$scratch/matrix" | wc -l)))
  bad=$(grep -c '^FAILED matrix' "$scratch/matrix" || true)
  failed=$((failed + bad))
  if [[ $status -ne 0 && $bad -eq 0 ]]; then fail "the matrix ended with $status"; fi
}

if [[ ! -x $bin ]]; then
  echo "no proxylm at $bin: run cargo build first, or set PROXYLM_BIN"
  exit 1
fi

suites=()
if python_ready; then suites+=(python); fi
if node_ready; then suites+=(node); fi

# What the caller's environment says about these SDKs and about proxies must not lead them elsewhere.
for name in $(compgen -e | grep -E '^(OPENAI|ANTHROPIC|GOOGLE|GEMINI|OLLAMA)_' || true); do unset "$name"; done
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy NODE_OPTIONS
export PROXYLM_BIN=$bin PROXYLM_KEY=sk-sdk-check

if [[ ${#suites[@]} -gt 0 ]]; then
  scratch=$(mktemp -d)
  export PROXYLM_RUN_DIR=$scratch/run
  start_instance || { fail "proxylm did not start"; suites=(); }
fi
for suite in ${suites[@]+"${suites[@]}"}; do
  case $suite in
    python)
      check openai.py "$here/.venv/bin/python" "$here/check_openai.py"
      check anthropic.py "$here/.venv/bin/python" "$here/check_anthropic.py"
      matrix openai.py "openai.py responses" anthropic.py google-genai.py ollama.py
      ;;
    node)
      check openai.mjs node "$here/check_openai.mjs"
      check anthropic.mjs node "$here/check_anthropic.mjs"
      if [[ -x $here/.venv/bin/python ]]; then matrix openai.mjs anthropic.mjs; fi
      ;;
  esac
done

stop_instance
if [[ $failed -gt 0 && -s $scratch/stderr ]]; then
  echo "proxylm's log:"
  tail -n 30 "$scratch/stderr"
fi
echo "sdk: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
