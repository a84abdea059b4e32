// Runs checks one after another and prints one line for each: `ok NAME` or `FAILED NAME: why`.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";

export const url = process.env.PROXYLM_URL;
export const client = { apiKey: process.env.PROXYLM_KEY, timeout: 30_000, maxRetries: 0 };

/** Runs every check; one that throws has failed. The program's exit code is 1 if any has. */
export async function run(suite, checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${suite}: ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`FAILED ${suite}: ${name}: ${error.name}: ${error.message.replace(/\s+/g, " ")}`);
    }
  }
}

/** Returns the error of this kind that the call rejects with. */
export async function raised(kind, call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: `no ${kind.name} was thrown` });
}

/** Waits until the instance holds no request any more. */
export async function nothingLive() {
  const { PROXYLM_BIN, PROXYLM_RUN_DIR } = process.env;
  const command = ["ctl", "--run-dir", PROXYLM_RUN_DIR, "--json", "requests"];
  const end = Date.now() + 10_000;
  for (;;) {
    const live = JSON.parse(execFileSync(PROXYLM_BIN, command, { timeout: 10_000 }));
    if (live.length === 0) return;
    assert.ok(Date.now() < end, `${live.length} requests are still live, the first is ${live[0].state}`);
    await pause(50);
  }
}
