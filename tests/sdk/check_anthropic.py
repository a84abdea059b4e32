"""The official Anthropic SDK for Python against a running proxylm."""

import asyncio

import anthropic

from checks import CLIENT, URL, nothing_live, raised, run, same

MODEL = "fake-small"
LONG = "fake-other"  # on a backend that talks for many seconds
SLOW, LATE = "fake-slow", "fake-late"  # on one backend that takes seconds to load either, one after the other
SAY = [{"role": "user", "content": "Say something."}]

client = anthropic.Anthropic(base_url=URL, **CLIENT)


def messages():
    answer = client.messages.create(model=MODEL, max_tokens=8, messages=SAY)
    same((answer.type, answer.role), ("message", "assistant"))
    same(answer.content[0].type, "text")
    assert answer.content[0].text
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def messages_stream():
    kinds = []
    text = ""
    for event in client.messages.create(model=MODEL, max_tokens=8, messages=SAY, stream=True):
        kinds.append(event.type)
        if event.type == "content_block_delta":
            text += event.delta.text
        if event.type == "message_delta":
            assert event.usage.output_tokens > 0
    assert text, "no text"
    same((kinds[0], kinds[-1]), ("message_start", "message_stop"))
    for kind in ("content_block_start", "content_block_stop", "message_delta"):
        assert kind in kinds, f"no {kind}"


def the_streaming_helper():
    with client.messages.stream(model=MODEL, max_tokens=8, messages=SAY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    same(final.content[0].text, text)
    assert final.usage.input_tokens > 0 and final.usage.output_tokens > 0


def models():
    listed = [model.id for model in client.models.list()]
    same(sorted(listed), ["fake-large", "fake-late", "fake-other", "fake-slow", "fake-small"])
    one = client.models.retrieve(MODEL)
    same((one.id, one.type), (MODEL, "model"))
    assert one.created_at.year > 2000 and one.display_name


def an_unknown_model():
    error = raised(
        anthropic.NotFoundError,
        lambda: client.messages.create(model="no-such-model", max_tokens=8, messages=SAY),
    )
    same(error.status_code, 404)
    same((error.body["type"], error.body["error"]["type"]), ("error", "not_found_error"))
    assert error.body["request_id"], "no request id in the body"


def a_wrong_key():
    stranger = client.with_options(api_key="sk-wrong")
    error = raised(
        anthropic.AuthenticationError,
        lambda: stranger.messages.create(model=MODEL, max_tokens=8, messages=SAY),
    )
    same((error.status_code, error.body["error"]["type"]), (401, "authentication_error"))
    assert "sk-wrong" not in str(error), "the key is in the error"


def a_bad_request():
    error = raised(
        anthropic.BadRequestError, lambda: client.messages.create(model=MODEL, max_tokens=0, messages=SAY)
    )
    same(error.body["error"]["type"], "invalid_request_error")
    assert "max_tokens" in error.body["error"]["message"]


def leaving_in_the_middle():
    stream = client.messages.create(model=LONG, max_tokens=100_000, messages=SAY, stream=True)
    for seen, _ in enumerate(stream):
        if seen == 4:
            break
    stream.close()
    nothing_live()


def a_base_url_with_v1():
    odd = anthropic.Anthropic(base_url=f"{URL}/v1", **CLIENT)
    assert odd.messages.create(model=MODEL, max_tokens=2, messages=SAY).content


def a_bearer_token():
    bearer = anthropic.Anthropic(base_url=URL, auth_token=CLIENT["api_key"], timeout=30, max_retries=0)
    assert bearer.messages.create(model=MODEL, max_tokens=2, messages=SAY).content


def waiting_longer_than_its_patience():
    async def text(stream):
        events = [event async for event in stream]
        same((events[0].type, events[-1].type), ("message_start", "message_stop"))
        return "".join(event.delta.text for event in events if event.type == "content_block_delta")

    async def ask_all():
        # Without a byte for so many seconds it gives up.
        async with anthropic.AsyncAnthropic(base_url=URL, **{**CLIENT, "timeout": 2}) as hasty:

            async def ask(model, **headers):
                return await hasty.messages.create(
                    model=model, messages=SAY, max_tokens=8, stream=True, extra_headers=headers
                )

            async def refused():
                try:
                    await text(await ask(LATE, **{"X-Proxylm-Timeout-Ms": "1500"}))
                except anthropic.APIStatusError as error:
                    return error

            async def answered():
                return await text(await ask(LATE))

            # It has its head while the model loads; the others wait behind it.
            first = await ask(SLOW)
            return await asyncio.gather(text(first), answered(), refused())

    first, second, error = asyncio.run(ask_all())
    assert first and second, "no text"
    same((error.body["type"], error.body["error"]["type"]), ("error", "overloaded_error"))
    nothing_live()


run(
    f"anthropic {anthropic.__version__} (Python)",
    [
        messages,
        messages_stream,
        the_streaming_helper,
        models,
        an_unknown_model,
        a_wrong_key,
        a_bad_request,
        leaving_in_the_middle,
        a_base_url_with_v1,
        a_bearer_token,
        waiting_longer_than_its_patience,
    ],
)
