// The official Anthropic SDK for JavaScript against a running proxylm.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { VERSION } from "@anthropic-ai/sdk/version";
import { client as options, nothingLive, raised, run, url } from "./checks.mjs";

const model = "fake-small";
const long = "fake-other"; // on a backend that talks for many seconds
const [slow, late] = ["fake-slow", "fake-late"]; // on one backend that takes seconds to load either, one after the other
const messages = [{ role: "user", content: "Say something." }];
const client = new Anthropic({ baseURL: url, ...options });

await run(`anthropic ${VERSION} (JavaScript)`, {
  async messages() {
    const answer = await client.messages.create({ model, messages, max_tokens: 8 });
    assert.deepEqual([answer.type, answer.role, answer.content[0].type], ["message", "assistant", "text"]);
    assert.ok(answer.content[0].text);
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
  },

  async "messages stream"() {
    const kinds = [];
    let text = "";
    for await (const event of await client.messages.create({ model, messages, max_tokens: 8, stream: true })) {
      kinds.push(event.type);
      if (event.type === "content_block_delta") text += event.delta.text;
    }
    assert.ok(text);
    assert.deepEqual([kinds[0], kinds.at(-1)], ["message_start", "message_stop"]);
  },

  async "the streaming helper"() {
    const stream = client.messages.stream({ model, messages, max_tokens: 8 });
    const final = await stream.finalMessage();
    assert.ok(final.content[0].text && final.usage.output_tokens > 0);
  },

  async models() {
    const listed = [];
    for await (const one of client.models.list()) listed.push(one.id);
    assert.deepEqual(listed.sort(), ["fake-large", "fake-late", "fake-other", "fake-slow", "fake-small"]);
    const one = await client.models.retrieve(model);
    assert.deepEqual([one.id, one.type], [model, "model"]);
  },

  async "an unknown model"() {
    const call = () => client.messages.create({ model: "no-such-model", messages, max_tokens: 8 });
    const error = await raised(Anthropic.NotFoundError, call);
    assert.deepEqual([error.status, error.error.error.type], [404, "not_found_error"]);
  },

  async "a wrong key"() {
    const stranger = client.withOptions({ apiKey: "sk-wrong" });
    const call = () => stranger.messages.create({ model, messages, max_tokens: 8 });
    const error = await raised(Anthropic.AuthenticationError, call);
    assert.deepEqual([error.status, error.error.error.type], [401, "authentication_error"]);
  },

  async "a bad request"() {
    const call = () => client.messages.create({ model, messages, max_tokens: 0 });
    const error = await raised(Anthropic.BadRequestError, call);
    assert.equal(error.error.error.type, "invalid_request_error");
  },

  async "leaving in the middle"() {
    const stream = await client.messages.create({ model: long, messages, max_tokens: 100_000, stream: true });
    let seen = 0;
    for await (const _ of stream) if (++seen === 4) break;
    assert.equal(seen, 4);
    await nothingLive();
  },

  async "a base URL with v1"() {
    const odd = new Anthropic({ baseURL: `${url}/v1`, ...options });
    assert.ok((await odd.messages.create({ model, messages, max_tokens: 2 })).content[0]);
  },

  async "waiting longer than its patience"() {
    // Without an answer's head for so many milliseconds it gives up.
    const hasty = client.withOptions({ timeout: 2_000 });
    const ask = (model, headers) => hasty.messages.create({ model, messages, max_tokens: 8, stream: true }, { headers });
    const text = async (stream) => {
      const events = [];
      for await (const event of stream) events.push(event);
      assert.deepEqual([events[0].type, events.at(-1).type], ["message_start", "message_stop"]);
      return events.map((event) => event.delta?.text ?? "").join("");
    };
    // It has its head while the model loads; the others wait behind it.
    const first = await ask(slow);
    const refused = async () => text(await ask(late, { "X-Proxylm-Timeout-Ms": "1500" }));
    const [one, other, error] = await Promise.all([
      text(first),
      ask(late).then(text),
      raised(Anthropic.APIError, refused),
    ]);
    assert.ok(one && other, "no text");
    assert.equal(error.error.error.type, "overloaded_error");
    await nothingLive();
  },
});
