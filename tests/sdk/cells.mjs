// Runs one SDK's cases against every backend and prints a line for each cell: `cell BACKEND CASE STATE why`, by tabs.

import assert from "node:assert/strict";

export const URL = process.env.PROXYLM_URL;
export const KEY = process.env.PROXYLM_KEY;
const UPSTREAMS = JSON.parse(process.env.PROXYLM_UPSTREAMS);

export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city"],
};
export const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};
export const ROME = { city: "Rome", days: 3 };
export const TWO = [{ city: "Rome" }, { city: "Oslo", days: 1 }];
export const ANSWERS = ["sunny", "rain"];
export const RESULTS = "Rome: sunny; Oslo: rain";
export const ADA = { name: "Ada", age: 36 };

export const model = (backend) => `model-${backend}`;
export const hello = (backend) => `Hello from ${model(backend)}, naïve 世界.`;
export const joined = (text) => text.replaceAll("\n\n", " | ").replaceAll("\n", " | ");
export const picture = (backend) => `${backend === "ollama" ? "image" : "image/png"} 70`;

// Runs every case for every backend. `cannot` names the cells that cannot exist: "backend case" or "case" to why.
export async function run(cases, cannot) {
  for (const backend of Object.keys(UPSTREAMS)) {
    for (const [name, check] of Object.entries(cases)) {
      const known = cannot[`${backend} ${name}`] ?? cannot[name] ?? "";
      let [state, why] = ["ok", ""];
      try {
        await check(backend);
        if (known) [state, why] = ["FAILED", `works, but is said not to exist: ${known}`];
      } catch (error) {
        const text = `${error.name}: ${error.message}`.replace(/\s+/g, " ").slice(0, 400);
        [state, why] = known ? ["none", known] : ["FAILED", text];
      }
      console.log(["cell", backend, name, state, why].join("\t"));
    }
  }
}

async function left(backend) {
  const response = await fetch(`${UPSTREAMS[backend]}/seen`);
  return (await response.json()).left;
}

// Leaves a stream by `leave` and waits until the backend has noticed.
export async function leaves(backend, leave) {
  const before = await left(backend);
  await leave();
  const end = Date.now() + 10_000;
  while ((await left(backend)) <= before) {
    assert.ok(Date.now() < end, "the backend still generates");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// The error that `call` ends with.
export async function raised(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof kind, `${error.name}: ${error.message}`);
    return error;
  }
  throw new assert.AssertionError({ message: `no ${kind.name} was raised` });
}
