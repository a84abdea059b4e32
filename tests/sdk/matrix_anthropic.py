"""The official Anthropic SDK for Python against a backend of each dialect."""

import json

import anthropic

from cells import (
    ANSWERS, KEY, PERSON, PNG, PNG_BYTES, RESULTS, ROME, TWO, URL, WEATHER, hello, leaves, left, model, raised, run, same, used,
)

client = anthropic.Anthropic(base_url=URL, api_key=KEY, timeout=30, max_retries=0)
TOOL = {"name": "weather", "description": "The weather.", "input_schema": WEATHER}


def asked(backend, content, **more):
    messages = more.pop("messages", None) or [{"role": "user", "content": content}]
    return {"model": model(backend), "max_tokens": more.pop("max_tokens", 8000), "messages": messages, **more}


def ask(backend, content, **more):
    return client.messages.create(**asked(backend, content, **more))


def streamed(backend, content, **more):
    """The final message as the SDK puts it together, and the names of the events."""
    kinds = []
    with client.messages.stream(**asked(backend, content, **more)) as stream:
        kinds += [event.type for event in stream]
        final = stream.get_final_message()
    same((kinds[0], kinds[-1], kinds.count("message_start")), ("message_start", "message_stop", 1))
    same(kinds.count("content_block_start"), kinds.count("content_block_stop"))
    return final


def tokens(usage):
    return (usage.input_tokens or 0) + (usage.cache_read_input_tokens or 0), usage.output_tokens


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message):
    return [block for block in message.content if block.type == "tool_use"]


def text(backend):
    answer = ask(backend, "Say hello.")
    same((text_of(answer), answer.stop_reason, answer.role), (hello(backend), "end_turn", "assistant"))
    used(tokens(answer.usage))


def stream(backend):
    answer = streamed(backend, "Say hello.")
    same((text_of(answer), answer.stop_reason), (hello(backend), "end_turn"))
    used(tokens(answer.usage))


def system(backend):
    blocks = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=12345;"},
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
    ]
    found = text_of(ask(backend, "[system]", system=blocks))
    found = found.replace("\n\n", " | ").replace("\n", " | ")
    if backend == "anthropic":
        found = found.split(" | ", 1)[1]
    same(found, "Be brief. | Be kind.")
    same(text_of(ask(backend, "[system]", system="Be brief.")), "Be brief.")


def image(backend):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    parts = [{"type": "image", "source": source}, {"type": "text", "text": "[image] What is this?"}]
    found = text_of(ask(backend, parts))
    same(found, f"{'image' if backend == 'ollama' else 'image/png'} {PNG_BYTES}")


def tool(backend):
    answer = ask(backend, "[tool] Rome?", tools=[TOOL])
    (call,) = calls_of(answer)
    same((call.name, call.input, text_of(answer), answer.stop_reason), ("weather", ROME, "I will look.", "tool_use"))


def forced_tool(backend):
    answer = ask(backend, "[forced] Rome?", tools=[TOOL], tool_choice={"type": "tool", "name": "weather"})
    same(calls_of(answer)[0].name, "weather")


def parallel_tools(backend):
    answer = streamed(backend, "[parallel] Rome and Oslo?", tools=[TOOL])
    calls = calls_of(answer)
    same(([call.input for call in calls], answer.stop_reason), (TWO, "tool_use"))
    assert calls[0].id and calls[0].id != calls[1].id


def tool_results(backend):
    question = {"role": "user", "content": "[parallel] Rome and Oslo?"}
    answer = ask(backend, "", messages=[question], tools=[TOOL])
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": text}]}
        for call, text in zip(calls_of(answer), ANSWERS)
    ]
    turn = [question, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    same(text_of(ask(backend, "", messages=turn, tools=[TOOL])), RESULTS)


def thinking(backend):
    wanted = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    answer = ask(backend, "[thinking] 6 by 7?", **wanted)
    same([block.type for block in answer.content], ["thinking", "text"])
    same((answer.content[0].thinking, text_of(answer)), ("Let me see.", "42"))
    final = streamed(backend, "[thinking] 6 by 7?", **wanted)
    same((final.content[0].thinking, text_of(final)), ("Let me see.", "42"))
    turn = [
        {"role": "user", "content": "[thinking] 6 by 7?"},
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": "And now?"},
    ]
    same(text_of(ask(backend, "", messages=turn, **wanted)), hello(backend))


def structured(backend):
    form = {"output_config": {"format": {"type": "json_schema", "schema": PERSON}}}
    same(json.loads(text_of(ask(backend, "[structured] Who?", **form))), {"name": "Ada", "age": 36})


def stop(backend):
    answer = ask(backend, "[stop] Go on.", stop_sequences=["END"])
    same(text_of(answer), "until")
    same(answer.stop_reason, "stop_sequence" if backend == "anthropic" else "end_turn")


def limit(backend):
    answer = ask(backend, "[limit] Go on.", max_tokens=5)
    same((text_of(answer), answer.stop_reason), ("cut o", "max_tokens"))


def count_tokens(backend):
    found = client.messages.count_tokens(model=model(backend), messages=[{"role": "user", "content": "Hello there."}])
    if backend == "anthropic":
        same(found.input_tokens, 1234)
    else:
        assert 2 <= found.input_tokens <= 20, found.input_tokens


def error(backend):
    wrong = raised(anthropic.BadRequestError, lambda: ask(backend, "[wrong]"))
    same(wrong.body["error"]["type"], "invalid_request_error")
    assert "does not like the request" in wrong.body["error"]["message"], wrong.body
    busy = raised(anthropic.RateLimitError, lambda: ask(backend, "[overloaded]"))
    assert int(busy.response.headers["retry-after"]) >= 1
    same(busy.body["error"]["type"], "rate_limit_error")


def cancel(backend):
    before = left(backend)
    with client.messages.stream(**asked(backend, "[endless]")) as stream:
        for _ in stream.text_stream:
            break
    leaves(backend, before)


CASES = [
    text, stream, system, image, tool, forced_tool, parallel_tools, tool_results, thinking, structured, stop, limit, count_tokens,
    cancel, error,
]
CANNOT = {("openai-responses", "stop"): "Responses has no stop sequences"}

if __name__ == "__main__":
    run(CASES, CANNOT)
