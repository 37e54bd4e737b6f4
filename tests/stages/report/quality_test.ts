import { deepStrictEqual } from "node:assert/strict";
import type { Evaluation } from "../../../stages/report/evaluation.ts";
import { qualityOf } from "../../../stages/report/quality.ts";

const protocol = { id: "windows", context: 2048, windows: 8, tokens: "0".repeat(64) };

Deno.test("quality is what an evaluation found, beside full precision where that was measured", () => {
  const of = (scores: Evaluation["scores"]) => qualityOf({ scores, protocol } as Evaluation);
  const words = "8 windows of 2048 tokens";
  deepStrictEqual(of({ perplexity: 20 }), { perplexity: 20, protocol: words });
  deepStrictEqual(of({ perplexity: 20, perplexity_ratio: 1.25, kl: 0.25, top1: 0.75 }), {
    perplexity: 20,
    baseline: 16,
    kl: 0.25,
    top1: 0.75,
    protocol: words,
  });
});
