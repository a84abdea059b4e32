// The official OpenAI SDK for JavaScript, chat completions and Responses, against a backend of each dialect.

import assert from "node:assert/strict";
import OpenAI from "openai";

import {
  ADA, ANSWERS, KEY, PERSON, PNG, RESULTS, ROME, TWO, URL, WEATHER, hello, joined, leaves, model, picture, raised, run,
} from "./cells.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, timeout: 30_000, maxRetries: 0 });
const TOOL = { type: "function", function: { name: "weather", description: "The weather.", parameters: WEATHER } };

const body = (backend, content, more = {}) => ({
  model: model(backend),
  messages: [{ role: "user", content }],
  ...more,
});
const ask = (backend, content, more) => client.chat.completions.create(body(backend, content, more));

// The final completion of a stream, put together by the SDK.
const streamed = (backend, content, more) => client.chat.completions.stream(body(backend, content, more)).finalChatCompletion();

const cases = {
  async text(backend) {
    const answer = await ask(backend, "Say hello.");
    assert.equal(answer.choices[0].message.content, hello(backend));
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [25, 12]);
  },
  async stream(backend) {
    const answer = await streamed(backend, "Say hello.", { stream_options: { include_usage: true } });
    assert.equal(answer.choices[0].message.content, hello(backend));
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [25, 12]);
  },
  async system(backend) {
    const messages = [
      { role: "developer", content: "Be brief." },
      { role: "system", content: [{ type: "text", text: "Be kind." }] },
      { role: "user", content: "[system]" },
    ];
    assert.equal(joined((await ask(backend, "", { messages })).choices[0].message.content), "Be brief. | Be kind.");
  },
  async image(backend) {
    const content = [
      { type: "text", text: "[image]" },
      { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
    ];
    assert.equal((await ask(backend, content)).choices[0].message.content, picture(backend));
  },
  async tool(backend) {
    const answer = await ask(backend, "[tool]", { tools: [TOOL] });
    const [call] = answer.choices[0].message.tool_calls;
    assert.deepEqual(JSON.parse(call.function.arguments), ROME);
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
  },
  async parallel_tools(backend) {
    const answer = await streamed(backend, "[parallel]", { tools: [TOOL] });
    const calls = answer.choices[0].message.tool_calls;
    assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments)), TWO);
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
  },
  async tool_results(backend) {
    const question = { role: "user", content: "[parallel]" };
    const { message } = (await ask(backend, "", { messages: [question], tools: [TOOL] })).choices[0];
    const results = message.tool_calls.map((call, index) => ({
      role: "tool",
      tool_call_id: call.id,
      content: ANSWERS[index],
    }));
    const answer = await ask(backend, "", { messages: [question, message, ...results], tools: [TOOL] });
    assert.equal(answer.choices[0].message.content, RESULTS);
  },
  async thinking(backend) {
    const more = { reasoning_effort: "low", max_completion_tokens: 8000 };
    const { message } = (await ask(backend, "[thinking]", more)).choices[0];
    assert.deepEqual([message.content, message.reasoning_content], ["42", "Let me see."]);
  },
  async structured(backend) {
    const schema = { name: "person", schema: PERSON, strict: true };
    const more = { response_format: { type: "json_schema", json_schema: schema } };
    assert.deepEqual(JSON.parse((await ask(backend, "[structured]", more)).choices[0].message.content), ADA);
    assert.deepEqual(JSON.parse((await streamed(backend, "[structured]", more)).choices[0].message.content), ADA);
  },
  async responses(backend) {
    const input = "Say hello.";
    const answer = await client.responses.create({ model: model(backend), input });
    assert.equal(answer.output_text, hello(backend));
    const stream = client.responses.stream({ model: model(backend), input });
    const { output } = await stream.finalResponse();
    assert.equal(output.flatMap((item) => item.content ?? []).map((part) => part.text).join(""), hello(backend));
  },
  async embeddings(backend) {
    const found = await client.embeddings.create({ model: model(backend), input: ["one", "three"] });
    assert.deepEqual(found.data.map((item) => Array.from(item.embedding)), [[3, 0, 0.5, -1], [5, 1, 0.5, -1]]);
  },
  async cancel(backend) {
    await leaves(backend, async () => {
      const stream = await ask(backend, "[endless]", { stream: true });
      for await (const chunk of stream) {
        if (chunk.choices[0]?.delta?.content) break;
      }
    });
  },
  async error(backend) {
    const wrong = await raised(OpenAI.BadRequestError, () => ask(backend, "[wrong]"));
    assert.match(wrong.message, /does not like the request/);
    await raised(OpenAI.RateLimitError, () => ask(backend, "[overloaded]"));
  },
};

await run(cases, {
  "anthropic embeddings": "Anthropic has no embeddings",
  "openai-responses embeddings": "this upstream speaks nothing but Responses",
});
