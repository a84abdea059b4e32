"""An upstream that speaks OpenAI chat completions and embeddings."""

import base64
import json
import struct

from .brain import Ask, Call, Refused, base64_length, check_fields, need

PATHS = ("/v1/chat/completions", "/v1/embeddings", "/v1/completions")
TOP = set(
    """model messages stream stream_options max_tokens max_completion_tokens temperature top_p n stop seed user tools
    tool_choice parallel_tool_calls response_format logprobs top_logprobs logit_bias presence_penalty frequency_penalty
    reasoning_effort metadata store service_tier verbosity prompt_cache_key safety_identifier modalities audio prediction
    functions function_call top_k""".split()
)
MESSAGE = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal", "reasoning_content", "reasoning_details"},
    "tool": {"role", "content", "tool_call_id"},
}


def understand(path, body):
    """Checks a request as OpenAI would, and says what it asks for."""
    check_fields(body, TOP, "body")
    need(isinstance(body.get("messages"), list) and body["messages"], "messages: must not be empty", "messages")
    ask = Ask(model=body["model"], stream=body.get("stream") is True)
    ask.limit = body.get("max_completion_tokens", body.get("max_tokens"))
    stop = body.get("stop")
    ask.stop = [stop] if isinstance(stop, str) else stop or []
    need(len(ask.stop) <= 4, "stop: at most 4", "stop")
    ask.thinking = body.get("reasoning_effort") not in (None, "none")
    for index, tool in enumerate(body.get("tools") or []):
        check_tool(tool, f"tools[{index}]")
        ask.tools[tool["function"]["name"]] = tool["function"].get("parameters")
    choice = body.get("tool_choice")
    need(choice is None or ask.tools, "tool_choice: there are no tools", "tool_choice")
    if isinstance(choice, dict):
        ask.forced = choice["function"]["name"]
    elif choice == "required" and len(ask.tools) == 1:
        ask.forced = next(iter(ask.tools))
    form = body.get("response_format")
    if form and form["type"] == "json_schema":
        check_fields(form["json_schema"], {"name", "schema", "strict", "description"}, "response_format.json_schema")
        need(form["json_schema"].get("name"), "response_format.json_schema.name: missing")
        ask.schema = form["json_schema"]["schema"]
    read_messages(ask, body["messages"])
    return ask


def check_tool(tool, where):
    check_fields(tool, {"type", "function"}, where)
    need(tool.get("type") == "function", f"{where}.type: must be function", where)
    function = tool["function"]
    check_fields(function, {"name", "description", "parameters", "strict"}, f"{where}.function")
    name = function.get("name", "")
    need(0 < len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum(), f"{where}: a bad name {name!r}", where)
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    need(isinstance(parameters, dict) and "properties" in parameters, f"{where}: parameters.properties is required", where)


def read_messages(ask, messages):
    open_calls = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        need(role in MESSAGE, f"{where}.role: unknown {role!r}", where)
        check_fields(message, MESSAGE[role], where)
        if role == "tool":
            need(message["tool_call_id"] in open_calls, f"{where}: no call {message['tool_call_id']!r} before it", where)
            open_calls.remove(message["tool_call_id"])
            ask.results.append((message["tool_call_id"], read_content(ask, message["content"], where, False)))
            continue
        need(not open_calls, f"{where}: the calls {open_calls} are not answered before it", where)
        ask.results = [] if role == "assistant" or role == "user" else ask.results
        text = read_content(ask, message.get("content"), where, role == "assistant")
        if role == "assistant":
            for call in message.get("tool_calls") or []:
                need(call.get("type") == "function" and call.get("id"), f"{where}: a bad call", where)
                arguments = json.loads(call["function"]["arguments"])
                need(isinstance(arguments, dict), f"{where}: arguments must be an object", where)
                ask.made[call["id"]] = Call(call["id"], call["function"]["name"], arguments)
                open_calls.append(call["id"])
            need(text or message.get("tool_calls"), f"{where}: empty", where)
        elif role == "user":
            ask.user = text
        else:
            ask.system.append(text)
    need(not open_calls, f"the calls {open_calls} are not answered", "messages")


def read_content(ask, content, where, may_be_empty):
    if content is None and may_be_empty:
        return ""
    if isinstance(content, str):
        return content
    need(isinstance(content, list) and content, f"{where}.content: must be text or parts", where)
    text = ""
    for index, part in enumerate(content):
        at = f"{where}.content[{index}]"
        if part.get("type") == "text":
            check_fields(part, {"type", "text"}, at)
            text += part["text"]
        elif part.get("type") == "image_url":
            check_fields(part, {"type", "image_url"}, at)
            url = part["image_url"]["url"]
            if url.startswith("data:"):
                kind, data = url[5:].split(";base64,")
                ask.images.append((kind, base64_length(data, at)))
            else:
                ask.images.append(("url", len(url)))
        else:
            raise Refused(f"{at}.type: unknown {part.get('type')!r}", field=at)
    return text


def usage(reply):
    total = reply.input_tokens + reply.output_tokens
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": reply.thinking_tokens},
    }


FINISH = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tools": "tool_calls"}


def answer(ask, reply):
    message = {"role": "assistant", "content": reply.text or None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
            for c in reply.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": FINISH[reply.finish], "logprobs": None}
    head = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1700000000, "model": ask.model}
    return {**head, "choices": [choice], "usage": usage(reply)}


def events(ask, reply, body):
    """The stream, as (name, data) pairs."""
    head = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1700000000, "model": ask.model}

    def chunk(delta, finish=None):
        return None, json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    if reply.thinking:
        yield chunk({"reasoning_content": reply.thinking[:3]})
        yield chunk({"reasoning_content": reply.thinking[3:]})
    for piece in reply.pieces():
        yield chunk({"content": piece})
    for index, call in enumerate(reply.calls):
        text = json.dumps(call.arguments)
        first = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield chunk({"tool_calls": [first]})
        for piece in (text[:4], text[4:]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, FINISH[reply.finish])
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, json.dumps({**head, "choices": [], "usage": usage(reply)})
    yield None, "[DONE]"


def embeddings(path, body):
    """Vectors of four numbers: the length of the text, and its place."""
    check_fields(body, {"model", "input", "dimensions", "encoding_format", "user"}, "body")
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors = [[float(len(text)), float(index), 0.5, -1.0] for index, text in enumerate(texts)]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack("<4f", *vector)).decode() for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    used = {"prompt_tokens": 7, "total_tokens": 7}
    return {"object": "list", "model": body["model"], "data": data, "usage": used}


def error(refused):
    kind = "rate_limit_error" if refused.status == 429 else "invalid_request_error"
    return {"error": {"message": str(refused), "type": kind, "param": refused.field, "code": None}}
