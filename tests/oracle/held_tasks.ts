// Answers rows of `tests/testdata/tasks` with a model; throws where one is not as lm-eval has it:
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
const chosen = cases.filter(({ task }) =>
  wanted.length === 0 || wanted.some((name) => task.startsWith(name))
);
const items = await holdsToGolden(chain, model, chosen, {
  memoryBytes: 2 ** 32,
});
const words = `${items} items of ${chosen.length} tasks as lm-eval has them\n`;
await Deno.stdout.write(new TextEncoder().encode(words));
