import { rougeL } from "../../../../stages/tasks/metrics/rouge_l.ts";
import { scoresAsLongBench } from "../../../support/longbench_scores.ts";

Deno.test("rouge_l scores texts as LongBench does", async () => {
  await scoresAsLongBench("rouge_l", ({ answer, right }) => rougeL(answer, right));
});
