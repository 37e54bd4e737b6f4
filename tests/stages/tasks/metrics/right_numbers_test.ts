import { strict as assert } from "node:assert";
import { countScore, retrievalScore } from "../../../../stages/tasks/metrics/right_numbers.ts";
import { scoresAsLongBench } from "../../../support/longbench_scores.ts";

Deno.test("numbers of an answer are scored as LongBench does", async () => {
  await scoresAsLongBench("count", ({ answer, right }) => countScore(answer, right));
  await scoresAsLongBench("retrieval", ({ answer, right }) => retrievalScore(answer, right));
});

Deno.test("what is right must name a paragraph", () => {
  assert.throws(() => retrievalScore("7", "7"), /it names no paragraph, expected such as/);
});
