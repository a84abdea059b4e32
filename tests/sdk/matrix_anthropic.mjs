// The official Anthropic SDK for JavaScript against a backend of each dialect.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

import {
  ADA, ANSWERS, KEY, PERSON, PNG, RESULTS, ROME, TWO, URL, WEATHER, hello, joined, leaves, model, picture, raised, run,
} from "./cells.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY, timeout: 30_000, maxRetries: 0 });
const TOOL = { name: "weather", description: "The weather.", input_schema: WEATHER };

const body = (backend, content, more = {}) => ({
  model: model(backend),
  max_tokens: 8000,
  messages: [{ role: "user", content }],
  ...more,
});
const ask = (backend, content, more) => client.messages.create(body(backend, content, more));
const streamed = (backend, content, more) => client.messages.stream(body(backend, content, more)).finalMessage();
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const calls = (message) => message.content.filter((block) => block.type === "tool_use");

const cases = {
  async text(backend) {
    const answer = await ask(backend, "Say hello.");
    assert.deepEqual([text(answer), answer.stop_reason], [hello(backend), "end_turn"]);
    assert.equal(answer.usage.output_tokens, 12);
  },
  async stream(backend) {
    const answer = await streamed(backend, "Say hello.");
    assert.deepEqual([text(answer), answer.stop_reason], [hello(backend), "end_turn"]);
    assert.equal(answer.usage.output_tokens, 12);
  },
  async system(backend) {
    const system = [
      { type: "text", text: "Be brief." },
      { type: "text", text: "Be kind.", cache_control: { type: "ephemeral" } },
    ];
    assert.equal(joined(text(await ask(backend, "[system]", { system }))), "Be brief. | Be kind.");
  },
  async image(backend) {
    const source = { type: "base64", media_type: "image/png", data: PNG };
    const content = [{ type: "image", source }, { type: "text", text: "[image]" }];
    assert.equal(text(await ask(backend, content)), picture(backend));
  },
  async tool(backend) {
    const answer = await ask(backend, "[tool]", { tools: [TOOL] });
    assert.deepEqual([calls(answer)[0].input, answer.stop_reason], [ROME, "tool_use"]);
  },
  async parallel_tools(backend) {
    const answer = await streamed(backend, "[parallel]", { tools: [TOOL] });
    assert.deepEqual([calls(answer).map((call) => call.input), answer.stop_reason], [TWO, "tool_use"]);
  },
  async tool_results(backend) {
    const question = { role: "user", content: "[parallel]" };
    const answer = await ask(backend, "", { messages: [question], tools: [TOOL] });
    const results = calls(answer).map((call, index) => ({
      type: "tool_result",
      tool_use_id: call.id,
      content: ANSWERS[index],
    }));
    const turn = [question, { role: "assistant", content: answer.content }, { role: "user", content: results }];
    assert.equal(text(await ask(backend, "", { messages: turn, tools: [TOOL] })), RESULTS);
  },
  async thinking(backend) {
    const more = { thinking: { type: "enabled", budget_tokens: 2000 } };
    for (const answer of [await ask(backend, "[thinking]", more), await streamed(backend, "[thinking]", more)]) {
      assert.deepEqual([answer.content[0].thinking, text(answer)], ["Let me see.", "42"]);
    }
  },
  async structured(backend) {
    const more = { output_config: { format: { type: "json_schema", schema: PERSON } } };
    assert.deepEqual(JSON.parse(text(await ask(backend, "[structured]", more))), ADA);
  },
  async cancel(backend) {
    await leaves(backend, async () => {
      const stream = client.messages.stream(body(backend, "[endless]"));
      for await (const event of stream) {
        if (event.type === "content_block_delta") break;
      }
      stream.abort();
    });
  },
  async error(backend) {
    const wrong = await raised(Anthropic.BadRequestError, () => ask(backend, "[wrong]"));
    assert.match(wrong.message, /does not like the request/);
    await raised(Anthropic.RateLimitError, () => ask(backend, "[overloaded]"));
  },
};

await run(cases, {});
