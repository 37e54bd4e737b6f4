import { qaF1 } from "../../../../stages/tasks/metrics/qa_f1.ts";
import { scoresAsLongBench } from "../../../support/longbench_scores.ts";

Deno.test("qa_f1 scores texts as LongBench does", async () => {
  await scoresAsLongBench("qa_f1", ({ answer, right }) => qaF1(answer, right));
});
