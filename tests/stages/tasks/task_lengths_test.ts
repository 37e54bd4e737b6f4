import { strict as assert } from "node:assert";
import { checkLengths } from "../../../stages/tasks/task_lengths.ts";
import { prepareTasks } from "../../../stages/tasks/prepare_tasks.ts";
import { rowsOf } from "../../support/task_models.ts";

const MADE_FOR = { positions: 2048, ropes: [{ scaling: { type: "none" } }] } as never;

Deno.test("tasks that ask for more tokens than the model was made for are refused before any work", async () => {
  const of = async (max_length: number) =>
    await prepareTasks([
      { task: "gsm8k", data: { test: rowsOf("gsm8k", "test") }, shots: 0, limit: 1, max_length },
    ]);
  checkLengths(await of(2048), MADE_FOR, undefined);
  checkLengths(await of(4096), MADE_FOR, true);
  const longer = await of(4096);
  assert.throws(
    () => checkLengths(longer, MADE_FOR, undefined),
    /Cannot take windows of 4096 tokens: the model was made for 2048/,
  );
  const short = await of(256);
  assert.throws(
    () => checkLengths(short, MADE_FOR, undefined),
    /Cannot generate 256 tokens: the model takes 256 of prompt and answer together/,
  );
});
