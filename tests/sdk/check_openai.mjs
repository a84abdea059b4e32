// The official OpenAI SDK for JavaScript against a running proxylm.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { VERSION } from "openai/version";
import { client as options, nothingLive, raised, run, url } from "./checks.mjs";

const model = "fake-small";
const short = "fake-large"; // on a backend that says little
const long = "fake-other"; // on a backend that talks for many seconds
const [slow, late] = ["fake-slow", "fake-late"]; // on one backend that takes seconds to load either, one after the other
const messages = [{ role: "user", content: "Say something." }];
const client = new OpenAI({ baseURL: `${url}/v1`, ...options });

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

await run(`openai ${VERSION} (JavaScript)`, {
  async chat() {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 8 });
    assert.equal(answer.object, "chat.completion");
    assert.ok(answer.choices[0].message.content);
    assert.ok(["stop", "length"].includes(answer.choices[0].finish_reason));
    assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
    assert.ok(answer._request_id, "no X-Request-Id");
  },

  async "chat stream"() {
    const chunks = await all(await client.chat.completions.create({ model, messages, max_tokens: 8, stream: true }));
    assert.ok(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""));
    assert.ok(chunks.at(-1).choices[0].finish_reason);
    assert.ok(chunks.every((chunk) => !chunk.usage), "usage that nobody asked for");
  },

  async "chat stream with usage"() {
    const asked = { stream: true, stream_options: { include_usage: true } };
    const chunks = await all(await client.chat.completions.create({ model, messages, max_tokens: 8, ...asked }));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.prompt_tokens > 0 && chunks.at(-1).usage.completion_tokens > 0);
  },

  async "the streaming helper"() {
    const stream = client.chat.completions.stream({ model: short, messages });
    assert.ok((await stream.finalChatCompletion()).choices[0].message.content);
  },

  async completions() {
    const answer = await client.completions.create({ model, prompt: "Say something.", max_tokens: 8 });
    assert.equal(answer.object, "text_completion");
    assert.ok(answer.choices[0].text && answer.usage.completion_tokens > 0);
  },

  async embeddings() {
    const input = ["one", "two"];
    const answer = await client.embeddings.create({ model: short, input });
    const floats = await client.embeddings.create({ model: short, input, encoding_format: "float" });
    assert.equal(answer.data.length, 2);
    assert.equal(answer.data[1].embedding.length, floats.data[1].embedding.length);
    const far = floats.data[1].embedding.some((value, at) => Math.abs(value - answer.data[1].embedding[at]) > 1e-5);
    assert.ok(!far, "base64 and float differ");
  },

  async models() {
    const listed = (await all(await client.models.list())).map((one) => one.id);
    assert.deepEqual(listed.sort(), ["fake-large", "fake-late", "fake-other", "fake-slow", "fake-small"]);
    const one = await client.models.retrieve(model);
    assert.equal(one.id, model);
    assert.ok(one.created > 0 && one.owned_by);
  },

  async "an unknown model"() {
    const call = () => client.chat.completions.create({ model: "no-such-model", messages });
    const error = await raised(OpenAI.NotFoundError, call);
    assert.deepEqual([error.status, error.code], [404, "model_not_found"]);
    assert.ok(error.requestID, "no X-Request-Id");
  },

  async "a wrong key"() {
    const stranger = client.withOptions({ apiKey: "sk-wrong" });
    const call = () => stranger.chat.completions.create({ model, messages });
    const error = await raised(OpenAI.AuthenticationError, call);
    assert.deepEqual([error.status, error.code], [401, "invalid_api_key"]);
  },

  async "a bad request"() {
    const error = await raised(OpenAI.BadRequestError, () => client.chat.completions.create({ model: "", messages }));
    assert.equal(error.param, "model");
  },

  async "leaving in the middle"() {
    const stream = await client.chat.completions.create({ model: long, messages, stream: true });
    let seen = 0;
    for await (const _ of stream) if (++seen === 3) break;
    assert.equal(seen, 3);
    await nothingLive();
  },

  async "a base URL without v1"() {
    const bare = new OpenAI({ baseURL: url, ...options });
    assert.ok((await bare.chat.completions.create({ model, messages, max_tokens: 2 })).choices[0]);
  },

  async "waiting longer than its patience"() {
    // Without an answer's head for so many milliseconds it gives up.
    const hasty = client.withOptions({ timeout: 2_000 });
    const ask = (model, headers) =>
      hasty.chat.completions.create({ model, messages, max_tokens: 8, stream: true }, { headers });
    const text = async (stream) => (await all(stream)).map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    // It has its head while the model loads; the others wait behind it.
    const first = await ask(slow);
    const refused = async () => text(await ask(late, { "X-Proxylm-Timeout-Ms": "1500" }));
    const [one, other, error] = await Promise.all([
      text(first),
      ask(late).then(text),
      raised(OpenAI.APIError, refused),
    ]);
    assert.ok(one && other, "no text");
    assert.equal(error.code, "queue_timeout");
    await nothingLive();
  },
});
