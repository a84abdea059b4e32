"""The official Ollama SDK for Python against a backend of each dialect."""

import json

import ollama

from cells import (
    ANSWERS, KEY, PERSON, PNG, PNG_BYTES, RESULTS, ROME, TWO, URL, WEATHER, hello, leaves, left, model, raised, run, same, used,
)

client = ollama.Client(host=URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER}}


def ask(backend, content, **more):
    messages = more.pop("messages", None) or [{"role": "user", "content": content}]
    return client.chat(model=model(backend), messages=messages, **more)


def gathered(stream):
    """The text, the thoughts, the calls and the last line of a stream."""
    text, thoughts, calls, last = "", "", [], None
    for line in stream:
        assert last is None, "a line after the last one"
        text += line.message.content or ""
        thoughts += line.message.thinking or ""
        calls += line.message.tool_calls or []
        last = line if line.done else None
    return text, thoughts, calls, last


def tokens(line):
    return line.prompt_eval_count, line.eval_count


def text(backend):
    answer = ask(backend, "Say hello.")
    same((answer.message.content, answer.done, answer.done_reason), (hello(backend), True, "stop"))
    used(tokens(answer))


def stream(backend):
    text, _, _, last = gathered(ask(backend, "Say hello.", stream=True))
    same((text, last.done_reason), (hello(backend), "stop"))
    used(tokens(last))


def generate(backend):
    answer = client.generate(model=model(backend), prompt="[system]", system="Be brief.")
    same((answer.response, answer.done), ("Be brief.", True))
    lines = list(client.generate(model=model(backend), prompt="Say hello.", stream=True))
    same(("".join(line.response for line in lines), lines[-1].done), (hello(backend), True))


def system(backend):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "[system]"},
    ]
    found = ask(backend, "", messages=messages).message.content
    same(found.replace("\n\n", " | ").replace("\n", " | "), "Be brief. | Be kind.")


def image(backend):
    messages = [{"role": "user", "content": "[image] What is this?", "images": [PNG]}]
    found = ask(backend, "", messages=messages).message.content
    same(found, f"{'image' if backend == 'ollama' else 'image/png'} {PNG_BYTES}")


def tool(backend):
    message = ask(backend, "[tool] Rome?", tools=[TOOL]).message
    (call,) = message.tool_calls
    same((call.function.name, call.function.arguments, message.content), ("weather", ROME, "I will look."))


def parallel_tools(backend):
    _, _, calls, _ = gathered(ask(backend, "[parallel] Rome and Oslo?", tools=[TOOL], stream=True))
    same([call.function.arguments for call in calls], TWO)


def tool_results(backend):
    question = {"role": "user", "content": "[parallel] Rome and Oslo?"}
    message = ask(backend, "", messages=[question], tools=[TOOL]).message
    results = [
        {"role": "tool", "tool_name": call.function.name, "content": text}
        for call, text in zip(message.tool_calls, ANSWERS)
    ]
    same(ask(backend, "", messages=[question, message, *results], tools=[TOOL]).message.content, RESULTS)


def thinking(backend):
    message = ask(backend, "[thinking] 6 by 7?", think=True).message
    same((message.content, message.thinking), ("42", "Let me see."))
    same(gathered(ask(backend, "[thinking] 6 by 7?", think=True, stream=True))[:2], ("42", "Let me see."))


def structured(backend):
    answer = ask(backend, "[structured] Who?", format=PERSON)
    same(json.loads(answer.message.content), {"name": "Ada", "age": 36})


def stop(backend):
    same(ask(backend, "[stop] Go on.", options={"stop": ["END"]}).message.content, "until")


def limit(backend):
    answer = ask(backend, "[limit] Go on.", options={"num_predict": 5})
    same((answer.message.content, answer.done_reason), ("cut o", "length"))


def embeddings(backend):
    found = client.embed(model=model(backend), input=["one", "three"])
    same([list(vector) for vector in found.embeddings], [[3.0, 0.0, 0.5, -1.0], [5.0, 1.0, 0.5, -1.0]])
    same(list(client.embeddings(model=model(backend), prompt="one").embedding), [3.0, 0.0, 0.5, -1.0])


def models(backend):
    assert f"{model(backend)}:latest" in [entry.model for entry in client.list().models]
    assert client.show(model(backend)).details is not None
    assert client.ps().models is not None


def error(backend):
    wrong = raised(ollama.ResponseError, lambda: ask(backend, "[wrong]"))
    same(wrong.status_code, 400)
    assert "does not like the request" in wrong.error, wrong.error
    same(raised(ollama.ResponseError, lambda: ask(backend, "[overloaded]")).status_code, 429)


def cancel(backend):
    before = left(backend)
    stream = ask(backend, "[endless]", stream=True)
    for _ in stream:
        break
    stream.close()
    leaves(backend, before)


CASES = [
    text, stream, generate, system, image, tool, parallel_tools, tool_results, thinking, structured, stop, limit, embeddings,
    models, cancel, error,
]
CANNOT = {
    ("anthropic", "embeddings"): "Anthropic has no embeddings",
    ("openai-responses", "embeddings"): "this upstream speaks nothing but Responses",
    ("openai-responses", "stop"): "Responses has no stop sequences",
}

if __name__ == "__main__":
    run(CASES, CANNOT)
