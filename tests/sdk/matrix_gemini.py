"""Google's official google-genai SDK for Python against a backend of each dialect."""

import base64
import json

from google import genai
from google.genai import errors, types

from cells import (
    ANSWERS, KEY, PERSON, PNG, PNG_BYTES, RESULTS, ROME, TWO, URL, WEATHER, hello, leaves, left, model, raised, run, same, used,
)

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, timeout=30_000))
DECLARED = types.FunctionDeclaration(name="weather", description="The weather.", parameters_json_schema=WEATHER)
TOOL = types.Tool(function_declarations=[DECLARED])


def config(**more):
    return types.GenerateContentConfig(**more)


def ask(backend, contents, **more):
    return client.models.generate_content(model=model(backend), contents=contents, config=config(**more))


def streamed(backend, contents, **more):
    """The parts, the last finish reason and the last usage of a stream."""
    parts, finish, usage = [], None, None
    for chunk in client.models.generate_content_stream(model=model(backend), contents=contents, config=config(**more)):
        for candidate in chunk.candidates or []:
            parts += (candidate.content.parts or []) if candidate.content else []
            finish = candidate.finish_reason or finish
        usage = chunk.usage_metadata or usage
    return parts, finish, usage


def tokens(usage):
    return usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)


def said(parts, thoughts=False):
    return "".join(part.text or "" for part in parts if bool(part.thought) == thoughts)


def parts_of(answer):
    return answer.candidates[0].content.parts


def user(*parts):
    return types.Content(role="user", parts=[types.Part(text=part) if isinstance(part, str) else part for part in parts])


def text(backend):
    answer = ask(backend, "Say hello.")
    same((answer.text, answer.candidates[0].finish_reason), (hello(backend), types.FinishReason.STOP))
    used(tokens(answer.usage_metadata))


def stream(backend):
    parts, finish, usage = streamed(backend, "Say hello.")
    same((said(parts), finish), (hello(backend), types.FinishReason.STOP))
    used(tokens(usage))


def system(backend):
    found = ask(backend, "[system]", system_instruction=["Be brief.", "Be kind."]).text
    same(found.replace("\n\n", " | ").replace("\n", " | "), "Be brief. | Be kind.")


def image(backend):
    picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    found = ask(backend, [user(picture, "[image] What is this?")]).text
    same(found, f"{'image' if backend == 'ollama' else 'image/png'} {PNG_BYTES}")


def tool(backend):
    answer = ask(backend, "[tool] Rome?", tools=[TOOL])
    (call,) = answer.function_calls
    same((call.name, call.args, said(parts_of(answer))), ("weather", ROME, "I will look."))


def forced_tool(backend):
    calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=["weather"])
    answer = ask(backend, "[forced] Rome?", tools=[TOOL], tool_config=types.ToolConfig(function_calling_config=calling))
    same(answer.function_calls[0].name, "weather")


def parallel_tools(backend):
    parts, _, _ = streamed(backend, "[parallel] Rome and Oslo?", tools=[TOOL])
    same([part.function_call.args for part in parts if part.function_call], TWO)


def tool_results(backend):
    question = user("[parallel] Rome and Oslo?")
    answer = ask(backend, [question], tools=[TOOL])
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": text}))
        for call, text in zip(answer.function_calls, ANSWERS)
    ]
    turn = [question, answer.candidates[0].content, user(*results)]
    same(ask(backend, turn, tools=[TOOL]).text, RESULTS)


def thinking(backend):
    wanted = {"thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=2000)}
    answer = ask(backend, "[thinking] 6 by 7?", **wanted)
    same((said(parts_of(answer)), said(parts_of(answer), thoughts=True)), ("42", "Let me see."))
    parts, _, _ = streamed(backend, "[thinking] 6 by 7?", **wanted)
    same((said(parts), said(parts, thoughts=True)), ("42", "Let me see."))
    turn = [user("[thinking] 6 by 7?"), answer.candidates[0].content, user("And now?")]
    same(ask(backend, turn, **wanted).text, hello(backend))


def structured(backend):
    answer = ask(backend, "[structured] Who?", response_mime_type="application/json", response_json_schema=PERSON)
    same(json.loads(answer.text), {"name": "Ada", "age": 36})


def stop(backend):
    answer = ask(backend, "[stop] Go on.", stop_sequences=["END"])
    same((answer.text, answer.candidates[0].finish_reason), ("until", types.FinishReason.STOP))


def limit(backend):
    answer = ask(backend, "[limit] Go on.", max_output_tokens=5)
    same((answer.text, answer.candidates[0].finish_reason), ("cut o", types.FinishReason.MAX_TOKENS))


def embeddings(backend):
    found = client.models.embed_content(model=model(backend), contents="one")
    same([item.values for item in found.embeddings], [[3.0, 0.0, 0.5, -1.0]])
    if backend != "gemini":  # of a model with that name the SDK takes several texts for parts of one
        both = client.models.embed_content(model=model(backend), contents=["one", "three"])
        same([item.values for item in both.embeddings], [[3.0, 0.0, 0.5, -1.0], [5.0, 1.0, 0.5, -1.0]])


def count_tokens(backend):
    found = client.models.count_tokens(model=model(backend), contents="Hello there.").total_tokens
    if backend == "gemini":
        same(found, 1234)
    else:
        assert 2 <= found <= 20, found


def error(backend):
    wrong = raised(errors.ClientError, lambda: ask(backend, "[wrong]"))
    same((wrong.code, wrong.status), (400, "INVALID_ARGUMENT"))
    assert "does not like the request" in wrong.message, wrong.message
    busy = raised(errors.ClientError, lambda: ask(backend, "[overloaded]"))
    same((busy.code, busy.status), (429, "RESOURCE_EXHAUSTED"))


def cancel(backend):
    before = left(backend)
    stream = client.models.generate_content_stream(model=model(backend), contents="[endless]")
    for _ in stream:
        break
    stream.close()
    leaves(backend, before)


CASES = [
    text, stream, system, image, tool, forced_tool, parallel_tools, tool_results, thinking, structured, stop, limit, embeddings,
    count_tokens, cancel, error,
]
CANNOT = {
    ("anthropic", "embeddings"): "Anthropic has no embeddings",
    ("openai-responses", "embeddings"): "this upstream speaks nothing but Responses",
    ("openai-responses", "stop"): "Responses has no stop sequences",
}

if __name__ == "__main__":
    run(CASES, CANNOT)
