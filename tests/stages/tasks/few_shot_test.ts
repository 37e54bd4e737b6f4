import { strict as assert } from "node:assert";
import { findTasks } from "../../../stages/tasks/find_tasks.ts";
import { readItems } from "../../../stages/tasks/task_items.ts";
import { rowsOf } from "../../support/task_models.ts";

const data = { train: rowsOf("piqa", "train"), validation: rowsOf("piqa", "validation") };

/** Names of tasks as a manifest has them, to their items. */
async function items(
  choice: { readonly shots: number; readonly limit: number; readonly seed?: number },
) {
  const [task] = await findTasks([{ task: "piqa", data, ...choice }]);
  return await readItems(task!);
}

Deno.test("examples stand before a question as lm-eval draws them, row after row", async () => {
  // What lm-eval 0.4.13 puts before the first rows of piqa with these files, Random(1234).
  const [, second] = await items({ shots: 3, limit: 3 });
  assert.equal(
    second!.pairs[0]!.context,
    "Question: To find long rope,\nAnswer: Mara found the small whistle by the mill.\n\n" +
      "Question: To find small whistle,\nAnswer: Mara carried the blue hat across the river. Greta kept the wooden flute across the river.\n\n" +
      "Question: To find grey coat,\nAnswer: Karl found the long rope behind the church.\n\n" +
      "Question: To find blue hat,\nAnswer:",
  );
  const other = await items({ shots: 3, limit: 3, seed: 7 });
  assert.notEqual(other[1]!.pairs[0]!.context, second!.pairs[0]!.context);
});

Deno.test("a row is never an example of itself, and more shots than rows are refused", async () => {
  const same = { task: "piqa", data: rowsOf("piqa", "validation"), shots: 23 };
  const [task] = await findTasks([same]);
  for (const { pairs } of await readItems(task!)) {
    const questions = pairs[0]!.context.split("\n\n");
    assert.equal(questions.length, 24);
  }
  const [more] = await findTasks([{ ...same, shots: 24 }]);
  await assert.rejects(
    () => readItems(more!),
    /Cannot show 24 examples of task "piqa": split train has 24 rows, expected at least 25; lower shots/,
  );
});
