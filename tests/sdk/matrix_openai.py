"""The official OpenAI SDK for Python, chat completions, against a backend of each dialect."""

import json

import openai

from cells import (
    ANSWERS, KEY, PERSON, PNG, PNG_BYTES, RESULTS, ROME, TWO, URL, WEATHER, hello, leaves, left, model, raised, run, same, used,
)

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, timeout=30, max_retries=0)
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER}}


def ask(backend, text, **more):
    messages = more.pop("messages", None) or [{"role": "user", "content": text}]
    return client.chat.completions.create(model=model(backend), messages=messages, **more)


def tokens(usage):
    return usage.prompt_tokens, usage.completion_tokens


def gathered(stream):
    """The text, the calls, the thoughts, the finish reason and the usage of a stream."""
    text, thoughts, calls, finish, usage = "", "", [], None, None
    ids = set()
    for chunk in stream:
        ids.add((chunk.id, chunk.created, chunk.model))
        usage = chunk.usage or usage
        for choice in chunk.choices:
            same(choice.index, 0)
            text += choice.delta.content or ""
            thoughts += getattr(choice.delta, "reasoning_content", None) or ""
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                if piece.index == len(calls):
                    calls.append({"id": piece.id, "name": piece.function.name, "arguments": ""})
                calls[piece.index]["arguments"] += piece.function.arguments or ""
    same(len(ids), 1)
    return text, thoughts, calls, finish, usage


def text(backend):
    answer = ask(backend, "Say hello.")
    same(answer.choices[0].message.content, hello(backend))
    same((answer.choices[0].finish_reason, answer.object), ("stop", "chat.completion"))
    assert answer.created > 0
    used(tokens(answer.usage))


def stream(backend):
    found = gathered(ask(backend, "Say hello.", stream=True, stream_options={"include_usage": True}))
    same((found[0], found[3]), (hello(backend), "stop"))
    used(tokens(found[4]))
    same(gathered(ask(backend, "Say hello.", stream=True))[4], None)


def system(backend):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "[system]"},
    ]
    found = ask(backend, "", messages=messages).choices[0].message.content
    same(found.replace("\n\n", " | ").replace("\n", " | "), "Be brief. | Be kind.")


def image(backend):
    parts = [
        {"type": "text", "text": "[image] What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    found = ask(backend, "", messages=[{"role": "user", "content": parts}]).choices[0].message.content
    same(found, f"{'image' if backend == 'ollama' else 'image/png'} {PNG_BYTES}")


def tool(backend):
    answer = ask(backend, "[tool] Rome?", tools=[TOOL])
    (call,) = answer.choices[0].message.tool_calls
    same((call.type, call.function.name, json.loads(call.function.arguments)), ("function", "weather", ROME))
    same((answer.choices[0].finish_reason, answer.choices[0].message.content), ("tool_calls", "I will look."))
    assert call.id


def forced_tool(backend):
    named = {"type": "function", "function": {"name": "weather"}}
    answer = ask(backend, "[forced] Rome?", tools=[TOOL], tool_choice=named)
    same(answer.choices[0].message.tool_calls[0].function.name, "weather")


def parallel_tools(backend):
    _, _, calls, finish, _ = gathered(ask(backend, "[parallel] Rome and Oslo?", tools=[TOOL], stream=True))
    same([json.loads(call["arguments"]) for call in calls], TWO)
    same(([call["name"] for call in calls], finish), (["weather", "weather"], "tool_calls"))
    assert calls[0]["id"] and calls[0]["id"] != calls[1]["id"]


def tool_results(backend):
    question = {"role": "user", "content": "[parallel] Rome and Oslo?"}
    message = ask(backend, "", messages=[question], tools=[TOOL]).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": answer}
        for call, answer in zip(message.tool_calls, ANSWERS)
    ]
    turn = [question, message.model_dump(exclude_none=True), *results]
    same(ask(backend, "", messages=turn, tools=[TOOL]).choices[0].message.content, RESULTS)


def thinking(backend):
    answer = ask(backend, "[thinking] 6 by 7?", reasoning_effort="low", max_completion_tokens=8000)
    message = answer.choices[0].message
    same((message.content, message.reasoning_content), ("42", "Let me see."))
    found = gathered(ask(backend, "[thinking] 6 by 7?", reasoning_effort="low", max_completion_tokens=8000, stream=True))
    same(found[:2], ("42", "Let me see."))
    turn = [
        {"role": "user", "content": "[thinking] 6 by 7?"},
        message.model_dump(exclude_none=True),
        {"role": "user", "content": "And now?"},
    ]
    again = ask(backend, "", messages=turn, reasoning_effort="low", max_completion_tokens=8000)
    same(again.choices[0].message.content, hello(backend))


def structured(backend):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    for more in ({}, {"stream": True}):
        answer = ask(backend, "[structured] Who?", response_format=form, **more)
        content = gathered(answer)[0] if more else answer.choices[0].message.content
        same(json.loads(content), {"name": "Ada", "age": 36})


def stop(backend):
    answer = ask(backend, "[stop] Go on.", stop="END")
    same((answer.choices[0].message.content, answer.choices[0].finish_reason), ("until", "stop"))


def limit(backend):
    answer = ask(backend, "[limit] Go on.", max_tokens=5)
    same((answer.choices[0].message.content, answer.choices[0].finish_reason), ("cut o", "length"))


def embeddings(backend):
    texts = ["one", "three"]
    found = client.embeddings.create(model=model(backend), input=texts)  # asks for base64
    same([item.embedding for item in found.data], [[3.0, 0.0, 0.5, -1.0], [5.0, 1.0, 0.5, -1.0]])
    plain = client.embeddings.create(model=model(backend), input="one", encoding_format="float")
    same(plain.data[0].embedding, [3.0, 0.0, 0.5, -1.0])


def error(backend):
    wrong = raised(openai.BadRequestError, lambda: ask(backend, "[wrong]"))
    assert "does not like the request" in wrong.message, wrong.message
    busy = raised(openai.RateLimitError, lambda: ask(backend, "[overloaded]"))
    assert int(busy.response.headers["retry-after"]) >= 1


def cancel(backend):
    before = left(backend)
    stream = ask(backend, "[endless]", stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    stream.close()
    leaves(backend, before)


CASES = [
    text, stream, system, image, tool, forced_tool, parallel_tools, tool_results, thinking, structured, stop, limit, embeddings,
    cancel, error,
]
CANNOT = {
    ("anthropic", "embeddings"): "Anthropic has no embeddings",
    ("openai-responses", "embeddings"): "this upstream speaks nothing but Responses",
    ("openai-responses", "stop"): "Responses has no stop sequences",
}

if __name__ == "__main__":
    run(CASES, CANNOT)
