/**
 * Compares sums of log-likelihoods that another program has got with the evaluator's on the same ids.
 *
 * deno run -A tests/oracle/scored_samples.ts MODEL AT_MOST < lines
 *
 * Lines are JSON: `ids`, `start`, the place of the first one that counts, and `loglikelihood`. Ends with
 * status 1 where a difference is larger; `lm_eval_task.py` calls it.
 */
import { evaluatorScores, openDifferences } from "./evaluator_scores.ts";

/** What another program says of some ids. */
interface Sample {
  readonly ids: readonly number[];
  readonly start: number;
  readonly loglikelihood: number;
}

const [model = "", most = ""] = Deno.args;
const text = await new Response(Deno.stdin.readable).text();
const samples: Sample[] = text.split("\n").map((line) => JSON.parse(line));
const differences = openDifferences();
let at = 0;
for await (const scores of evaluatorScores(model, samples.map(({ ids }) => ids))) {
  const { start, loglikelihood } = samples[at++]!;
  // Scores begin with the second id.
  const own = scores.subarray(start - 1).reduce((sum, value) => sum + value, 0);
  differences.add(loglikelihood, own);
}
await Deno.stdout.write(
  new TextEncoder().encode(
    `${differences.text()}; ${differences.means.join(" and ")} on average\n`,
  ),
);
Deno.exit(at === samples.length && differences.largest <= Number(most) ? 0 : 1);
