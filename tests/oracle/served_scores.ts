/**
 * Scores windows of a text at a running server and by the evaluator, and compares the two.
 *
 * deno run -A tests/oracle/served_scores.ts URL MODEL TOKENS [--window 2048] [--first 0] [--count 1]
 *     [--at-most 1e-3]
 *
 * MODEL is the directory of the served model artifact, TOKENS that of a tokens artifact. A server
 * started with `--step-tokens 1 --sequences 1` takes a prompt token by token: one query a step against
 * the paged cache, as answers are generated. Ends with status 1 where a difference is larger.
 */
import { parseArgs } from "node:util";
import { evaluatorScores, openDifferences } from "./evaluator_scores.ts";

const { values, positionals: [url = "", model = "", tokens = ""] } = parseArgs({
  allowPositionals: true,
  options: {
    window: { type: "string", default: "2048" },
    first: { type: "string", default: "0" },
    count: { type: "string", default: "1" },
    "at-most": { type: "string", default: "1e-3" },
  },
});
const size = Number(values.window);
const all = new Uint32Array((await Deno.readFile(`${tokens}/tokens.u32`)).buffer);
const lists = Array.from({ length: Number(values.count) }, (_, at) => {
  const from = (Number(values.first) + at) * size;
  return [...all.subarray(from, from + size)];
});
const differences = openDifferences();
let at = 0;
for await (const expected of evaluatorScores(model, lists)) {
  const start = performance.now();
  const got = await served(lists[at++]!);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (got.length !== expected.length) throw new Error(`${got.length} scores of ${expected.length}`);
  got.forEach((value, i) => differences.add(value, expected[i]!));
  const [own, evaluated] = differences.means.map((mean) => Math.exp(-mean));
  const line = `window ${at} of ${lists.length} in ${seconds} s: ${differences.text()}; ` +
    `perplexity ${own}, the evaluator's ${evaluated}\n`;
  await Deno.stdout.write(new TextEncoder().encode(line));
}
Deno.exit(differences.largest <= Number(values["at-most"]) ? 0 : 1);

/** Scores of a prompt's tokens from the second on, as `echo` tells them. */
async function served(prompt: readonly number[]): Promise<number[]> {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, max_tokens: 0, echo: true, logprobs: 0 }),
  });
  const json = await response.json();
  if (!response.ok) throw new Error(json.error.message);
  return json.choices[0].logprobs.token_logprobs.slice(1);
}
