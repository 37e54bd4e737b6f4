import { codeSimilarity } from "../../../../stages/tasks/metrics/code_similarity.ts";
import { scoresAsLongBench } from "../../../support/longbench_scores.ts";

Deno.test("code_similarity scores texts as LongBench does", async () => {
  await scoresAsLongBench("code_similarity", ({ answer, right }) => codeSimilarity(answer, right));
});
