import { strict as assert } from "node:assert";
import {
  estimateScore,
  pairedDifference,
  standardError,
} from "../../../stages/report/estimates.ts";

const near = (found: number, wanted: number) =>
  assert.ok(Math.abs(found - wanted) < 1e-12, `${found}, expected ${wanted}`);

Deno.test("the error of a mean is the sample deviation by the root of the items", () => {
  // numpy: std([1, 0, 1, 1, 0], ddof=1) / sqrt(5)
  const shares = [1, 0, 1, 1, 0].map((sum) => ({ sum, weight: 1 }));
  const { value, influences } = estimateScore(shares, "mean");
  near(value, 0.6);
  near(standardError(influences)!, 0.2449489742783178);
});

Deno.test("the error of a difference counts items that both have right but once", () => {
  const of = (sums: number[]) => estimateScore(sums.map((sum) => ({ sum, weight: 1 })), "mean");
  const { difference, error } = pairedDifference(of([1, 0, 1, 1, 0, 1]), of([1, 1, 1, 1, 0, 0]));
  near(difference, 0);
  // Differences 0, -1, 0, 0, 0, 1: their deviation is sqrt(0.4).
  near(error!, Math.sqrt(0.4 / 6));
  assert.deepEqual(pairedDifference(of([1, 0]), of([1, 0])), { difference: 0, error: 0 });
});

Deno.test("perplexities are those of lm-eval, with the error of their ratio", () => {
  const shares = [{ sum: -12, weight: 3 }, { sum: -20, weight: 7 }, { sum: -3, weight: 1 }];
  near(estimateScore(shares, "perplexity").value, Math.exp(35 / 11));
  near(estimateScore(shares, "bits").value, 35 / 11 / Math.LN2);
  // By hand: residuals of the ratio -35/11 are -27/11, 25/11 and 2/11, by 3/11 of them.
  const [a, b, c] = [-27, 25, 2].map((each) => each / 11 * 3 / 11);
  const spread = Math.sqrt((a! ** 2 + b! ** 2 + c! ** 2) / 6);
  near(standardError(estimateScore(shares, "bits").influences)!, spread / Math.LN2);
  assert.equal(standardError([1]), undefined);
});
