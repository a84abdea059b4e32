"""The official OpenAI SDK for Python against a running proxylm."""

import asyncio

import openai

from checks import CLIENT, URL, nothing_live, raised, run, same

MODEL = "fake-small"
SHORT = "fake-large"  # on a backend that says little
LONG = "fake-other"  # on a backend that talks for many seconds
SLOW, LATE = "fake-slow", "fake-late"  # on one backend that takes seconds to load either, one after the other
SAY = [{"role": "user", "content": "Say something."}]

client = openai.OpenAI(base_url=f"{URL}/v1", **CLIENT)


def chat():
    answer = client.chat.completions.create(model=MODEL, messages=SAY, max_tokens=8)
    same(answer.object, "chat.completion")
    same(answer.choices[0].message.role, "assistant")
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer._request_id, "no X-Request-Id"


def a_request_id_of_ones_own_comes_back():
    mine = {"X-Request-Id": "sdk-check-1"}
    answer = client.chat.completions.create(model=MODEL, messages=SAY, max_tokens=2, extra_headers=mine)
    same(answer._request_id, "sdk-check-1")


def chat_stream():
    chunks = list(client.chat.completions.create(model=MODEL, messages=SAY, max_tokens=8, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text, "no text"
    assert chunks[-1].choices[0].finish_reason, "the last chunk says no reason"
    assert all(chunk.choices and chunk.usage is None for chunk in chunks), "usage that nobody asked for"


def chat_stream_with_usage():
    asked = {"include_usage": True}
    stream = client.chat.completions.create(
        model=MODEL, messages=SAY, max_tokens=8, stream=True, stream_options=asked
    )
    chunks = list(stream)
    last = chunks[-1]
    same(last.choices, [])
    assert last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0


def the_streaming_helper():
    # Without a limit: the helper takes a cut answer for an error.
    with client.chat.completions.stream(model=SHORT, messages=SAY) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content


def completions():
    answer = client.completions.create(model=MODEL, prompt="Say something.", max_tokens=8)
    same(answer.object, "text_completion")
    assert answer.choices[0].text and answer.usage.completion_tokens > 0


def completions_stream():
    chunks = list(client.completions.create(model=MODEL, prompt="Say something.", max_tokens=8, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks)


def embeddings():
    answer = client.embeddings.create(model=SHORT, input=["one", "two"])
    same(len(answer.data), 2)
    same([item.index for item in answer.data], [0, 1])
    floats = client.embeddings.create(model=SHORT, input="one", encoding_format="float")
    same(len(floats.data[0].embedding), len(answer.data[0].embedding))
    near = zip(floats.data[0].embedding, answer.data[0].embedding)
    assert all(abs(a - b) < 1e-5 for a, b in near), "base64 and float differ"
    assert floats.usage.prompt_tokens > 0


def models():
    listed = {model.id: model for model in client.models.list()}
    same(sorted(listed), ["fake-large", "fake-late", "fake-other", "fake-slow", "fake-small"])
    one = client.models.retrieve(MODEL)
    same((one.id, one.object, one.created), (MODEL, "model", listed[MODEL].created))
    assert one.owned_by and one.created > 0
    same(sorted(one.served_by), ["fake-a", "fake-b"])


def an_unknown_model():
    error = raised(
        openai.NotFoundError, lambda: client.chat.completions.create(model="no-such-model", messages=SAY)
    )
    same((error.status_code, error.code), (404, "model_not_found"))
    assert error.request_id, "no X-Request-Id"
    error = raised(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))
    same(error.code, "model_not_found")


def a_wrong_key():
    stranger = client.with_options(api_key="sk-wrong")
    error = raised(
        openai.AuthenticationError, lambda: stranger.chat.completions.create(model=MODEL, messages=SAY)
    )
    same((error.status_code, error.code), (401, "invalid_api_key"))
    assert "sk-wrong" not in str(error), "the key is in the error"


def a_bad_request():
    error = raised(openai.BadRequestError, lambda: client.chat.completions.create(model="", messages=SAY))
    same((error.status_code, error.param), (400, "model"))


def leaving_in_the_middle():
    stream = client.chat.completions.create(model=LONG, messages=SAY, stream=True)
    for seen, _ in enumerate(stream):
        if seen == 3:
            break
    stream.close()
    nothing_live()


def a_base_url_without_v1():
    bare = openai.OpenAI(base_url=URL, **CLIENT)
    assert bare.chat.completions.create(model=MODEL, messages=SAY, max_tokens=2).choices
    assert MODEL in [model.id for model in bare.models.list()]


def many_at_once():
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", **CLIENT) as many:
            models = ["fake-small", "fake-large", "fake-other"] * 6
            asked = (many.chat.completions.create(model=m, messages=SAY, max_tokens=4) for m in models)
            return models, await asyncio.gather(*asked)

    models, answers = asyncio.run(ask_all())
    same([answer.model for answer in answers], models)
    nothing_live()


def waiting_longer_than_its_patience():
    async def text(stream):
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def ask_all():
        # Without a byte for so many seconds it gives up.
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", **{**CLIENT, "timeout": 2}) as hasty:

            async def ask(model, **headers):
                return await hasty.chat.completions.create(
                    model=model, messages=SAY, max_tokens=8, stream=True, extra_headers=headers
                )

            async def refused():
                try:
                    await text(await ask(LATE, **{"X-Proxylm-Timeout-Ms": "1500"}))
                except openai.APIError as error:
                    return error

            async def answered():
                return await text(await ask(LATE))

            # It has its head while the model loads; the others wait behind it.
            first = await ask(SLOW)
            return await asyncio.gather(text(first), answered(), refused())

    first, second, error = asyncio.run(ask_all())
    assert first and second, "no text"
    same(error.code, "queue_timeout")
    nothing_live()


run(
    f"openai {openai.__version__} (Python)",
    [
        chat,
        a_request_id_of_ones_own_comes_back,
        chat_stream,
        chat_stream_with_usage,
        the_streaming_helper,
        completions,
        completions_stream,
        embeddings,
        models,
        an_unknown_model,
        a_wrong_key,
        a_bad_request,
        leaving_in_the_middle,
        a_base_url_without_v1,
        many_at_once,
        waiting_longer_than_its_patience,
    ],
)
