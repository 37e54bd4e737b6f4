// Slow: the largest bodies that a server takes are read while others are answered.
import { ok, strictEqual } from "node:assert/strict";
import type { GenerationEvent, ScoredToken } from "../../stages/engine/engine.ts";
import { heavyRequests } from "../support/heavy_requests.ts";
import { likeliest } from "../support/engine_stub.ts";
import { serveFake } from "../support/server_stub.ts";
import { longestWork } from "../support/thread_stalls.ts";

/**
 * How long a request may hold up others, in milliseconds of the server's thread, which is the
 * client's as well. From outside, a server by itself is measured by `tests/slow/stalls.ts`.
 */
const STALL = 150;

const TOKENS = 501;

/** Each held up everybody for seconds once. */
const TRIED = [
  "1.5 million prompts of a letter",
  "2 MB of accents to tokenize",
  "500,000 unknown fields",
  "2.6 million nested lists",
  "64 prompts with echo and 20 log-probabilities a token",
];

for (const { what, path, body, status } of heavyRequests(TOKENS)) {
  if (!TRIED.includes(what)) continue;
  // Only Linux tells how long a thread has run.
  const ignore = Deno.build.os !== "linux";
  Deno.test({ name: `a server answers others while it has ${what}`, ignore }, async () => {
    await using served = await serveFake({ delay: 5, threads: true, options: { readTime: 0.5 } });
    const top = likeliest(1, { size: served.tokenizer.size, count: 20 });
    const scores = Array.from(
      { length: TOKENS },
      (): ScoredToken => ({ token: 5, logprob: -1, top }),
    );
    const plain = served.engine.generate.bind(served.engine);
    served.engine.generate = async function* (request, signal): AsyncGenerator<GenerationEvent> {
      if (request.promptLogprobs === undefined) return yield* plain(request, signal);
      yield { type: "prompt", cached: 0, queued: 0, scores: scores.slice(1) };
      yield { type: "token", ...scores[0]! };
      yield { type: "end", reason: "length" };
    };
    // The readers are there: starting one is not what is measured.
    await (await served.post("/tokenize", { prompt: "a" })).body?.cancel();
    let found = 0;
    const stall = await longestWork(async () => {
      const response = await served.post(path, body);
      found = response.status;
      await response.body?.pipeTo(new WritableStream());
    });
    ok([status, 408].includes(found), `it answers ${found}`);
    ok(stall < STALL, `it worked ${Math.round(stall)} ms without a turn for others`);
    const after = await served.post("/tokenize", { prompt: "a" });
    await after.body?.cancel();
    strictEqual(after.status, 200);
  });
}
