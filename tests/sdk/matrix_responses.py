"""The official OpenAI SDK for Python, Responses, against a backend of each dialect."""

import json

import openai

from cells import (
    ANSWERS, KEY, PERSON, PNG, PNG_BYTES, RESULTS, ROME, TWO, URL, WEATHER, hello, leaves, left, model, raised, run, same, used,
)

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, timeout=30, max_retries=0)
TOOL = {"type": "function", "name": "weather", "description": "The weather.", "parameters": WEATHER, "strict": False}


def ask(backend, input, **more):
    return client.responses.create(model=model(backend), input=input, **more)


def followed(stream):
    """The last response of a stream, whose events must fit together."""
    numbers, kinds, text, last = [], [], "", None
    for event in stream:
        numbers.append(event.sequence_number)
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
        last = event
    same(numbers, list(range(len(numbers))))
    same(kinds[:2], ["response.created", "response.in_progress"])
    same(kinds.count("response.output_item.added"), kinds.count("response.output_item.done"))
    same(kinds.count("response.content_part.added"), kinds.count("response.content_part.done"))
    assert last.type in ("response.completed", "response.incomplete"), last.type
    same(last.response.output_text, text)
    return last.response


def tokens(usage):
    return usage.input_tokens, usage.output_tokens


def calls_of(response):
    return [item for item in response.output if item.type == "function_call"]


def text(backend):
    answer = ask(backend, "Say hello.")
    same((answer.output_text, answer.status, answer.object), (hello(backend), "completed", "response"))
    used(tokens(answer.usage))


def stream(backend):
    answer = followed(ask(backend, "Say hello.", stream=True))
    same(answer.output_text, hello(backend))
    used(tokens(answer.usage))


def system(backend):
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "[system]"}]},
    ]
    found = ask(backend, items, instructions="Be brief.").output_text
    same(found.replace("\n\n", " | ").replace("\n", " | "), "Be brief. | Be kind.")


def image(backend):
    parts = [
        {"type": "input_text", "text": "[image] What is this?"},
        {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
    ]
    found = ask(backend, [{"role": "user", "content": parts}]).output_text
    same(found, f"{'image' if backend == 'ollama' else 'image/png'} {PNG_BYTES}")


def tool(backend):
    answer = ask(backend, "[tool] Rome?", tools=[TOOL])
    (call,) = calls_of(answer)
    same((call.name, json.loads(call.arguments), answer.output_text), ("weather", ROME, "I will look."))
    assert call.call_id and call.id


def forced_tool(backend):
    answer = ask(backend, "[forced] Rome?", tools=[TOOL], tool_choice={"type": "function", "name": "weather"})
    same(calls_of(answer)[0].name, "weather")


def parallel_tools(backend):
    answer = followed(ask(backend, "[parallel] Rome and Oslo?", tools=[TOOL], stream=True))
    calls = calls_of(answer)
    same([json.loads(call.arguments) for call in calls], TWO)
    assert calls[0].call_id != calls[1].call_id


def tool_results(backend):
    question = {"role": "user", "content": "[parallel] Rome and Oslo?"}
    answer = ask(backend, [question], tools=[TOOL])
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": text}
        for call, text in zip(calls_of(answer), ANSWERS)
    ]
    turn = [question, *[item.model_dump(exclude_none=True) for item in answer.output], *outputs]
    same(ask(backend, turn, tools=[TOOL]).output_text, RESULTS)


def thinking(backend):
    wanted = {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 8000}
    question = {"role": "user", "content": "[thinking] 6 by 7?"}
    answer = ask(backend, [question], include=["reasoning.encrypted_content"], **wanted)
    thoughts = [part.text for item in answer.output if item.type == "reasoning" for part in item.summary]
    same((answer.output_text, thoughts), ("42", ["Let me see."]))
    streamed = followed(ask(backend, [question], stream=True, include=["reasoning.encrypted_content"], **wanted))
    same([item.type for item in streamed.output], ["reasoning", "message"])
    turn = [question, *[item.model_dump(exclude_none=True) for item in answer.output], {"role": "user", "content": "And now?"}]
    same(ask(backend, turn, **wanted).output_text, hello(backend))


def structured(backend):
    form = {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}
    same(json.loads(ask(backend, "[structured] Who?", text=form).output_text), {"name": "Ada", "age": 36})
    streamed = followed(ask(backend, "[structured] Who?", text=form, stream=True))
    same(json.loads(streamed.output_text), {"name": "Ada", "age": 36})


def limit(backend):
    answer = ask(backend, "[limit] Go on.", max_output_tokens=5)
    same((answer.output_text, answer.status), ("cut o", "incomplete"))
    same(answer.incomplete_details.reason, "max_output_tokens")


def error(backend):
    wrong = raised(openai.BadRequestError, lambda: ask(backend, "[wrong]"))
    assert "does not like the request" in wrong.message, wrong.message
    busy = raised(openai.RateLimitError, lambda: ask(backend, "[overloaded]"))
    assert int(busy.response.headers["retry-after"]) >= 1
    stateful = raised(openai.BadRequestError, lambda: ask(backend, "x", previous_response_id="resp_1"))
    same(stateful.param, "previous_response_id")


def cancel(backend):
    before = left(backend)
    stream = ask(backend, "[endless]", stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    leaves(backend, before)


CASES = [
    text, stream, system, image, tool, forced_tool, parallel_tools, tool_results, thinking, structured, limit, cancel, error,
]
CANNOT = {}

if __name__ == "__main__":
    run(CASES, CANNOT)
