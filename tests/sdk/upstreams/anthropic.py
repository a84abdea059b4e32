"""An upstream that speaks Anthropic's Messages."""

import json
import re

from .brain import Ask, Call, Refused, base64_length, check_fields, need

PATHS = ("/v1/messages", "/v1/messages/count_tokens")
TOP = set(
    """model messages system max_tokens stream temperature top_p top_k stop_sequences tools tool_choice metadata thinking
    service_tier output_config container context_management mcp_servers inference_geo cache_control""".split()
)
BLOCKS = {
    "text": {"type", "text", "cache_control", "citations"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "title", "context", "citations", "cache_control"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
SIGNATURE = "c2lnLWFudGhyb3BpYw=="


def understand(path, body):
    """Checks a request as Anthropic would, and says what it asks for."""
    check_fields(body, TOP, "body")
    counts = path.endswith("count_tokens")
    need(counts or isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
    ask = Ask(model=body["model"], stream=body.get("stream") is True, limit=body.get("max_tokens"))
    temperature = body.get("temperature", 1)
    need(0 <= temperature <= 1, "temperature: range: 0..1", "temperature")
    ask.stop = body.get("stop_sequences") or []
    need(all(text.strip() for text in ask.stop), "stop_sequences: each must contain non-whitespace")
    system = body.get("system", [])
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        check_fields(block, BLOCKS["text"], "system")
        need(block["text"], "system: text content blocks must be non-empty")
        ask.system.append(block["text"])
    check_thinking(ask, body)
    for index, tool in enumerate(body.get("tools") or []):
        allowed = {"name", "description", "input_schema", "cache_control", "type", "strict"}
        check_fields(tool, allowed, f"tools.{index}.custom")
        need(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]), f"tools.{index}.custom.name: bad")
        need(tool["input_schema"].get("type") == "object", f"tools.{index}.custom.input_schema.type: Field required")
        ask.tools[tool["name"]] = tool["input_schema"]
    choice = body.get("tool_choice")
    if choice:
        check_fields(choice, {"type", "name", "disable_parallel_tool_use"}, "tool_choice")
        need(choice["type"] in ("auto", "any", "tool", "none"), "tool_choice.type: bad")
        forced = choice["type"] in ("any", "tool")
        need(not (forced and ask.thinking), "Thinking may not be enabled when tool_choice forces tool use.")
        ask.forced = choice.get("name") or (next(iter(ask.tools)) if forced and len(ask.tools) == 1 else None)
    form = (body.get("output_config") or {}).get("format")
    if form:
        need(form["type"] == "json_schema", "output_config.format.type: bad")
        ask.schema = form["schema"]
    read_messages(ask, body["messages"])
    return ask


def check_thinking(ask, body):
    thinking = body.get("thinking") or {"type": "disabled"}
    need(thinking["type"] in ("enabled", "disabled", "adaptive"), "thinking.type: bad")
    ask.thinking = thinking["type"] != "disabled"
    if thinking["type"] == "enabled":
        budget = thinking.get("budget_tokens", 0)
        need(budget >= 1024, "thinking.enabled.budget_tokens: should be greater than or equal to 1024")
        need(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`")
    if ask.thinking:
        need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled")
        need("top_k" not in body, "`top_k` must be unset when thinking is enabled")


def read_messages(ask, messages):
    need(messages and messages[0]["role"] == "user", "messages: first message must use the \"user\" role")
    open_calls, last = [], None
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        check_fields(message, {"role", "content"}, where)
        need(message["role"] in ("user", "assistant"), f"{where}.role: bad")
        need(message["role"] != last, f"{where}: roles must alternate")
        last = message["role"]
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        need(blocks, f"{where}: all messages must have non-empty content")
        ask.results, text = [], ""
        for at, block in enumerate(blocks):
            text += read_block(ask, block, f"{where}.content.{at}", open_calls, message["role"])
        ids = [id for id, _ in ask.results]
        if message["role"] == "user":
            ask.user = text
            missing = [id for id in open_calls if id not in ids]
            need(not missing, f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}")
            need(len(set(ids)) == len(ids), f"{where}: each tool_use must have a single result")
            need([b["type"] for b in blocks[: len(ids)]] == ["tool_result"] * len(ids), f"{where}: results come first")
            open_calls = []
        else:
            kinds = [block["type"] for block in blocks]
            need(
                not (ask.thinking and "tool_use" in kinds) or "thinking" in kinds[0],
                f"{where}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`",
            )
            open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    need(not open_calls, f"the calls {open_calls} are not answered")


def read_block(ask, block, where, open_calls, role):
    kind = block.get("type")
    need(kind in BLOCKS, f"{where}: Input tag {kind!r} found using 'type' does not match any of the expected tags")
    check_fields(block, BLOCKS[kind], where)
    if kind == "text":
        need(block["text"], f"{where}: text content blocks must be non-empty")
        return block["text"]
    if kind == "image":
        source = block["source"]
        if source["type"] == "base64":
            check_fields(source, {"type", "media_type", "data"}, f"{where}.source")
            ask.images.append((source["media_type"], base64_length(source["data"], where)))
        else:
            check_fields(source, {"type", "url"}, f"{where}.source")
            ask.images.append(("url", len(source["url"])))
    elif kind == "tool_use":
        need(role == "assistant" and isinstance(block["input"], dict), f"{where}.input: should be an object")
        need(re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]), f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        ask.made[block["id"]] = Call(block["id"], block["name"], block["input"])
    elif kind == "tool_result":
        need(block["tool_use_id"] in open_calls, f"{where}: unexpected `tool_use_id` {block['tool_use_id']}")
        content = block.get("content", "")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        ask.results.append((block["tool_use_id"], text))
    elif kind == "thinking":
        need(block["signature"] == SIGNATURE, f"{where}: Invalid `signature` in `thinking` block")
        ask.signatures.append(block["signature"])
    return ""


FINISH = {"stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tools": "tool_use"}


def usage(reply, output):
    return {
        "input_tokens": reply.input_tokens - reply.cached_tokens,
        "cache_read_input_tokens": reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
    }


def id_of(call):
    return call.id.replace("call_", "toolu_")


def blocks_of(reply):
    blocks = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": SIGNATURE})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    calls = [{"type": "tool_use", "id": id_of(c), "name": c.name, "input": c.arguments} for c in reply.calls]
    return blocks + calls


def answer(ask, reply):
    head = {"id": "msg_up", "type": "message", "role": "assistant", "model": ask.model}
    end = {"stop_reason": FINISH[reply.finish], "stop_sequence": reply.stop_sequence}
    return {**head, "content": blocks_of(reply), **end, "usage": usage(reply, reply.output_tokens)}


def events(ask, reply, body):
    def event(kind, **members):
        return kind, json.dumps({"type": kind, **members})

    message = {"id": "msg_up", "type": "message", "role": "assistant", "model": ask.model, "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage(reply, 1)}
    yield event("message_start", message=message)
    yield event("ping")
    for index, block in enumerate(blocks_of(reply)):
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        yield event("content_block_start", index=index, content_block=block | empty[block["type"]])
        for delta in deltas_of(block, reply):
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    end = {"stop_reason": FINISH[reply.finish], "stop_sequence": reply.stop_sequence}
    yield event("message_delta", delta=end, usage={"output_tokens": reply.output_tokens})
    yield event("message_stop")


def deltas_of(block, reply):
    if block["type"] == "text":
        for piece in reply.pieces():
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": SIGNATURE}
    else:
        text = json.dumps(block["input"])
        for piece in ("", text[:5], text[5:]):
            yield {"type": "input_json_delta", "partial_json": piece}


def count(body):
    return {"input_tokens": 1234}


def error(refused):
    kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(refused.status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": str(refused)}, "request_id": "req_up"}
