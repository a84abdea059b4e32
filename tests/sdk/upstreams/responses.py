"""An upstream that speaks OpenAI's Responses."""

import json

from .brain import Ask, Call, Refused, base64_length, check_fields, need
from .openai import check_tool

PATHS = ("/v1/responses",)
TOP = set(
    """model input instructions stream max_output_tokens temperature top_p top_logprobs tools tool_choice
    parallel_tool_calls reasoning text metadata user safety_identifier prompt_cache_key service_tier store include
    truncation background stream_options previous_response_id""".split()
)
ITEMS = {
    "message": {"type", "role", "content", "id", "status"},
    "function_call": {"type", "call_id", "name", "arguments", "id", "status"},
    "function_call_output": {"type", "call_id", "output", "id", "status"},
    "reasoning": {"type", "id", "summary", "content", "encrypted_content", "status"},
}
SEALED = "c2lnLW9wZW5haQ=="


def understand(path, body):
    """Checks a request as OpenAI would, and says what it asks for."""
    check_fields(body, TOP, "body")
    if "previous_response_id" in body:
        raise Refused("Previous response not found.", field="previous_response_id")
    ask = Ask(model=body["model"], stream=body.get("stream") is True, limit=body.get("max_output_tokens"))
    if body.get("instructions"):
        ask.system.append(body["instructions"])
    reasoning = body.get("reasoning") or {}
    check_fields(reasoning, {"effort", "summary"}, "reasoning")
    ask.thinking = bool(reasoning) and reasoning.get("effort") != "none"
    for index, tool in enumerate(body.get("tools") or []):
        where = f"tools[{index}]"
        check_fields(tool, {"type", "name", "description", "parameters", "strict"}, where)
        need(tool["type"] == "function", f"{where}.type: bad", where)
        inner = {name: value for name, value in tool.items() if name != "type"}
        check_tool({"type": "function", "function": inner}, where)
        ask.tools[tool["name"]] = tool["parameters"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        check_fields(choice, {"type", "name"}, "tool_choice")
        ask.forced = choice["name"]
    elif choice == "required" and len(ask.tools) == 1:
        ask.forced = next(iter(ask.tools))
    text = body.get("text") or {}
    check_fields(text, {"format", "verbosity"}, "text")
    form = text.get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        check_fields(form, {"type", "name", "schema", "strict", "description"}, "text.format")
        need(form.get("name"), "text.format.name: missing", "text.format.name")
        ask.schema = form["schema"]
    items = body.get("input", [])
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    read_items(ask, items)
    return ask


def read_items(ask, items):
    open_calls = []
    for index, item in enumerate(items):
        where = f"input[{index}]"
        kind = item.get("type", "message")
        need(kind in ITEMS, f"{where}.type: unknown {kind!r}", where)
        check_fields(item, ITEMS[kind], where)
        if kind == "function_call":
            arguments = json.loads(item["arguments"])
            ask.made[item["call_id"]] = Call(item["call_id"], item["name"], arguments)
            open_calls.append(item["call_id"])
            ask.results = []
        elif kind == "function_call_output":
            need(item["call_id"] in open_calls, f"No tool call found for function call output with call_id {item['call_id']}.")
            open_calls.remove(item["call_id"])
            output = item["output"]
            if not isinstance(output, str):
                output = "".join(part["text"] for part in output if part["type"] == "input_text")
            ask.results.append((item["call_id"], output))
        elif kind == "reasoning":
            need(item.get("encrypted_content") in (None, SEALED), f"{where}.encrypted_content: could not be verified")
            need("summary" in item, f"{where}.summary: missing", where)
            ask.signatures.append(item.get("encrypted_content"))
        else:
            read_message(ask, item, where)
    need(not open_calls, f"No tool output found for function calls {open_calls}.")


def read_message(ask, item, where):
    role = item.get("role")
    need(role in ("user", "assistant", "system", "developer"), f"{where}.role: bad", where)
    text = ""
    content = item["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    for at, part in enumerate(parts):
        place = f"{where}.content[{at}]"
        kind = part.get("type")
        if isinstance(content, str) or kind == ("output_text" if role == "assistant" else "input_text"):
            text += part["text"]
        elif kind == "input_image":
            check_fields(part, {"type", "image_url", "detail", "file_id"}, place)
            url = part["image_url"]
            if url.startswith("data:"):
                media, data = url[5:].split(";base64,")
                ask.images.append((media, base64_length(data, place)))
            else:
                ask.images.append(("url", len(url)))
        else:
            raise Refused(f"{place}.type: {kind!r} is not for {role}", field=place)
    if role == "user":
        ask.user, ask.results = text, []
    elif role != "assistant":
        ask.system.append(text)


def output_of(reply):
    items = []
    if reply.thinking:
        summary = [{"type": "summary_text", "text": reply.thinking}]
        items.append({"type": "reasoning", "id": "rs_up", "summary": summary, "encrypted_content": SEALED})
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        items.append({"type": "message", "id": "msg_up", "role": "assistant", "status": "completed", "content": [part]})
    for index, call in enumerate(reply.calls):
        members = {"call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments)}
        items.append({"type": "function_call", "id": f"fc_{index}", "status": "completed", **members})
    return items


def answer(ask, reply, status=None):
    is_cut = reply.finish == "length"
    usage = {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.thinking_tokens},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
    return {
        "id": "resp_up",
        "object": "response",
        "created_at": 1700000000,
        "model": ask.model,
        "status": status or ("incomplete" if is_cut else "completed"),
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "error": None,
        "output": [] if status else output_of(reply),
        "usage": None if status else usage,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def events(ask, reply, body):
    count = 0

    def event(kind, **members):
        nonlocal count
        count += 1
        return kind, json.dumps({"type": kind, "sequence_number": count - 1, **members})

    yield event("response.created", response=answer(ask, reply, "in_progress"))
    yield event("response.in_progress", response=answer(ask, reply, "in_progress"))
    for index, item in enumerate(output_of(reply)):
        at = {"output_index": index, "item_id": item["id"]}
        yield event("response.output_item.added", output_index=index, item=begun(item))
        if item["type"] == "reasoning":
            part = {**at, "summary_index": 0}
            empty = {"type": "summary_text", "text": ""}
            yield event("response.reasoning_summary_part.added", part=empty, **part)
            yield event("response.reasoning_summary_text.delta", delta=reply.thinking, **part)
            yield event("response.reasoning_summary_text.done", text=reply.thinking, **part)
            yield event("response.reasoning_summary_part.done", part=item["summary"][0], **part)
        elif item["type"] == "message":
            part = {**at, "content_index": 0}
            empty = {"type": "output_text", "text": "", "annotations": []}
            yield event("response.content_part.added", part=empty, **part)
            for piece in reply.pieces():
                yield event("response.output_text.delta", delta=piece, **part)
            yield event("response.output_text.done", text=reply.text, **part)
            yield event("response.content_part.done", part=item["content"][0], **part)
        else:
            text = item["arguments"]
            for piece in (text[:5], text[5:]):
                yield event("response.function_call_arguments.delta", delta=piece, **at)
            yield event("response.function_call_arguments.done", arguments=text, name=item["name"], **at)
        yield event("response.output_item.done", output_index=index, item=item)
    end = answer(ask, reply)
    yield event(f"response.{end['status']}", response=end)


def begun(item):
    empty = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {"summary": []}}
    rest = {name: value for name, value in item.items() if name != "encrypted_content"}
    return rest | empty[item["type"]] | {"status": "in_progress"}


def error(refused):
    kind = "rate_limit_error" if refused.status == 429 else "invalid_request_error"
    return {"error": {"message": str(refused), "type": kind, "param": refused.field, "code": None}}
