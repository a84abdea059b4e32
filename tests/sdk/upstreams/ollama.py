"""An upstream that speaks Ollama's own API."""

import json

from .brain import Ask, Call, base64_length, check_fields, need
from .openai import check_tool

PATHS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")
TOP = set("model messages stream tools format options keep_alive think logprobs top_logprobs truncate shift".split())
MESSAGE = set("role content images tool_calls tool_name tool_call_id thinking".split())


def understand(path, body):
    """Checks a request more strictly than Ollama would: what it ignores is a mistake here."""
    is_generate = path.endswith("/generate")
    if is_generate:
        body = talk_of(body)
    check_fields(body, TOP, "body")
    ask = Ask(model=body["model"], stream=body.get("stream", True))
    ask.is_generate = is_generate
    options = body.get("options") or {}
    ask.limit = options.get("num_predict")
    ask.stop = options.get("stop") or []
    ask.thinking = body.get("think") not in (None, False)
    form = body.get("format")
    ask.schema = form if isinstance(form, dict) else None
    for index, tool in enumerate(body.get("tools") or []):
        check_tool(tool, f"tools[{index}]")
        ask.tools[tool["function"]["name"]] = tool["function"]["parameters"]
    # Ollama cannot force a tool: who has only one to choose from may as well have been forced.
    ask.forced = next(iter(ask.tools)) if len(ask.tools) == 1 else None
    calls = []
    for index, message in enumerate(body["messages"]):
        where = f"messages[{index}]"
        check_fields(message, MESSAGE, where)
        role = message["role"]
        need(role in ("system", "user", "assistant", "tool"), f"invalid role: {role}")
        need(isinstance(message.get("content", ""), str), f"{where}.content: must be a string")
        if role == "tool":
            place = len(ask.results)
            need(place < len(calls), f"{where}: no call before it")
            need(message.get("tool_name") in (None, calls[place].name), f"{where}: answers another tool")
            ask.results.append((calls[place].id, message["content"]))
            continue
        ask.results = []
        if role == "assistant":
            calls = [read_call(call, f"{where}.tool_calls[{at}]", ask) for at, call in enumerate(message.get("tool_calls") or [])]
        elif role == "user":
            ask.user = message["content"]
            ask.images += [("image", base64_length(data, where)) for data in message.get("images") or []]
        else:
            ask.system.append(message["content"])
    return ask


def talk_of(body):
    """A request to /api/generate as the talk that it stands for."""
    rest = dict(body)
    messages = [{"role": "system", "content": rest["system"]}] if rest.get("system") else []
    rest.pop("system", None)
    messages.append({"role": "user", "content": rest.pop("prompt"), "images": rest.pop("images", None) or []})
    return {**rest, "messages": messages}


def shaped(ask, message):
    """The members in which a message is told."""
    if not ask.is_generate:
        return {"message": message}
    told = {"response": message["content"]}
    return {**told, "thinking": message["thinking"]} if "thinking" in message else told


def read_call(call, where, ask):
    check_fields(call, {"id", "type", "function"}, where)
    check_fields(call["function"], {"name", "arguments", "index"}, where)
    need(isinstance(call["function"]["arguments"], dict), f"{where}: arguments must be an object")
    made = Call(f"place-{len(ask.made)}", call["function"]["name"], call["function"]["arguments"])
    ask.made[made.id] = made
    return made


def message_of(reply):
    message = {"role": "assistant", "content": reply.text}
    if reply.thinking:
        message["thinking"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [{"function": {"name": c.name, "arguments": c.arguments}} for c in reply.calls]
    return message


def end_of(reply):
    counts = {"prompt_eval_count": reply.input_tokens, "eval_count": reply.output_tokens}
    times = {"total_duration": 5_000_000, "load_duration": 1, "prompt_eval_duration": 2, "eval_duration": 3}
    return {"done": True, "done_reason": "length" if reply.finish == "length" else "stop", **times, **counts}


def head_of(ask):
    return {"model": ask.model, "created_at": "2026-01-02T03:04:05.678Z"}


def answer(ask, reply):
    return {**head_of(ask), **shaped(ask, message_of(reply)), **end_of(reply)}


def events(ask, reply, body):
    def line(**message):
        told = shaped(ask, {"role": "assistant", "content": "", **message})
        whole = {**head_of(ask), **told, "done": False}
        return None, json.dumps(whole)

    if reply.thinking:
        yield line(thinking=reply.thinking)
    for piece in reply.pieces():
        yield line(content=piece)
    for call in reply.calls:
        yield line(tool_calls=[{"function": {"name": call.name, "arguments": call.arguments}}])
    last = shaped(ask, {"role": "assistant", "content": ""})
    yield None, json.dumps({**head_of(ask), **last, **end_of(reply)})


def embeddings(path, body):
    if path.endswith("/embeddings"):
        check_fields(body, {"model", "prompt", "options", "keep_alive"}, "body")
        return {"embedding": [float(len(body["prompt"])), 0.0, 0.5, -1.0]}
    check_fields(body, {"model", "input", "truncate", "options", "keep_alive", "dimensions"}, "body")
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors = [[float(len(text)), float(place), 0.5, -1.0] for place, text in enumerate(texts)]
    return {"model": body["model"], "embeddings": vectors, "total_duration": 1, "prompt_eval_count": 7}


def error(refused):
    return {"error": str(refused)}
