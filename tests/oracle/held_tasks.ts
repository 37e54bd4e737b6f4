// Answers rows of `tests/testdata/tasks` with a model, and holds them to what lm-eval said to them:
// deno run -A tests/oracle/held_tasks.ts MODEL tests/testdata/tasks/smollm2.json.gz [TASK ...]
// MODEL is the model artifact that lm_eval_model.py was given; TASK begins the names of those that are asked.
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { holdsToGolden } from "../support/golden_tasks.ts";
import { ungzipped } from "../support/gzip_text.ts";
import { StageChain } from "../support/stage_chain.ts";
import type { GoldenCase } from "../support/task_models.ts";

const [path, golden, ...wanted] = Deno.args;
if (!path || !golden) throw new TypeError("Usage: held_tasks.ts MODEL GOLDEN [TASK ...]");
const cases: GoldenCase[] = JSON.parse(await ungzipped(golden));
await using chain = await StageChain.open(await openTunedDevice());
const model = { kind: "model", key: path, digest: path, path, scores: {} } as const;
let items = 0;
let wrong = 0;
for (const one of cases) {
  if (wanted.length > 0 && !wanted.some((name) => one.task.startsWith(name))) continue;
  try {
    items += await holdsToGolden(chain, model, [one], { memoryBytes: 2 ** 32 });
    console.log(`${one.task}: ${one.items.length} items as lm-eval has them`);
  } catch (error) {
    wrong++;
    console.log(`${one.task}: ${(error as Error).message}`);
  }
}
console.log(`${items} items as lm-eval has them, ${wrong} tasks are not`);
Deno.exit(wrong > 0 ? 1 : 0);
