import { classification } from "../../../../stages/tasks/metrics/classification.ts";
import { scoresAsLongBench } from "../../../support/longbench_scores.ts";

Deno.test("classes are scored as LongBench does", async () => {
  await scoresAsLongBench(
    "classification",
    ({ answer, right, classes }) => classification(answer, right, classes!),
  );
});
