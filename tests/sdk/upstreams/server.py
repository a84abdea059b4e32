"""Serves the scripted upstreams: `python -m upstreams.server` prints a line `DIALECT http://127.0.0.1:PORT` for each.

Ends when its standard input ends. `GET /seen` of any of them tells how many streams were begun, and how many of them were
left before their end.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import anthropic, brain, gemini, ollama, openai, responses

DIALECTS = {"openai": openai, "openai-responses": responses, "anthropic": anthropic, "gemini": gemini, "ollama": ollama}
KEYS = {
    "openai": ("authorization", "Bearer key-openai"),
    "openai-responses": ("authorization", "Bearer key-openai-responses"),
    "anthropic": ("x-api-key", "key-anthropic"),
    "gemini": ("x-goog-api-key", "key-gemini"),
    "ollama": (None, None),
}


class Upstream(ThreadingHTTPServer):
    """One of them, on a port of its own."""

    daemon_threads = True

    def __init__(self, name):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.dialect = DIALECTS[name]
        self.seen = {"begun": 0, "left": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        name, model = self.server.name, f"model-{self.server.name}"
        if path == "/seen":
            return self.whole(200, self.server.seen)
        if name == "gemini" and path == "/v1beta/models":
            methods = ["generateContent", "embedContent", "countTokens"]
            return self.whole(200, {"models": [{"name": f"models/{model}", "supportedGenerationMethods": methods}]})
        if path == "/v1/models":
            listed = {"id": model, "object": "model", "created": 1700000000, "owned_by": name, "type": "model"}
            listed |= {"display_name": model, "created_at": "2023-11-14T22:13:20Z"} if name == "anthropic" else {}
            return self.whole(200, {"object": "list", "data": [listed], "has_more": False})
        if name == "ollama" and path == "/api/tags":
            return self.whole(200, {"models": [{"name": model, "model": model}]})
        return self.whole(404, {"error": f"no {path} here"})

    def do_POST(self):
        path = self.path.split("?")[0]
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        dialect = self.server.dialect
        try:
            self.check_head(path)
            body = json.loads(raw)
            if "mbed" in path:
                return self.whole(200, dialect.embeddings(path, body))
            ask = dialect.understand(path, body)
            if path.endswith(("count_tokens", "countTokens")):
                return self.whole(200, dialect.count(body))
            reply = brain.reply_to(ask)
        except brain.Refused as refused:
            return self.whole(refused.status, dialect.error(refused), refused.retry_after)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            refused = brain.Refused(f"malformed: {type(error).__name__}: {error}")
            return self.whole(400, dialect.error(refused))
        if not ask.stream:
            return self.whole(200, dialect.answer(ask, reply))
        return self.stream(dialect.events(ask, reply, body), reply.pause)

    def check_head(self, path):
        """The key and the version must be there, and no other dialect's headers."""
        name = self.server.name
        header, value = KEYS[name]
        brain.need(header is None or self.headers.get(header) == value, f"the key in {header} is wrong or missing")
        foreign = [other for other, _ in KEYS.values() if other and other != header and other in self.headers]
        brain.need(not foreign, f"headers of another API came along: {foreign}")
        brain.need("key=" not in self.path, "a key in the query")
        if name == "anthropic":
            brain.need(self.headers.get("anthropic-version"), "anthropic-version: header is required")
        else:
            brain.need("anthropic-version" not in self.headers, "anthropic-version came along")
        paths = self.server.dialect.PATHS
        known = path in paths if isinstance(paths, tuple) else paths.fullmatch(path)
        if not known:
            raise brain.Refused(f"no {path} here", status=404)

    def whole(self, status, value, retry_after=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if retry_after is not None:
            self.send_header("retry-after", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events, pause):
        is_lines = self.server.name == "ollama"
        self.server.seen["begun"] += 1
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson" if is_lines else "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for name, data in events:
                text = f"{data}\n" if is_lines else f"{f'event: {name}' + chr(10) if name else ''}data: {data}\n\n"
                self.piece(text.encode())
                if pause:
                    time.sleep(pause)
            self.piece(b"")
        except OSError:
            self.server.seen["left"] += 1
            self.close_connection = True

    def piece(self, data):
        # Cut in two, so that events come in pieces that are not whole.
        middle = len(data) // 2
        for part in (data[:middle], data[middle:]):
            if part:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if not data:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


def main():
    for name in DIALECTS:
        upstream = Upstream(name)
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        print(f"{name} http://127.0.0.1:{upstream.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
