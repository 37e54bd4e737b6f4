import { strict as assert } from "node:assert";
import { findTasks } from "../../../stages/tasks/find_tasks.ts";
import { checkNeeds } from "../../../stages/tasks/item_needs.ts";

/** Asserts that an item of a task is refused in such words, and that as it was it is not. */
async function refuses(task: string, item: object, less: object, message: RegExp): Promise<void> {
  const [{ file }] = await findTasks([{ task }]) as [Awaited<ReturnType<typeof findTasks>>[0]];
  const whole = { at: "rows.jsonl:3", target: "", answers: ["a"], classes: [], ...item };
  checkNeeds(file, whole);
  assert.throws(() => checkNeeds(file, { ...whole, ...less }), message);
}

Deno.test("items without what their metrics look at are refused with their place", async () => {
  await refuses("lambada_openai", { target: "x" }, { target: "" }, /rows\.jsonl:3: doc_to_target/);
  await refuses("longbench_qasper", {}, { answers: [] }, /rows\.jsonl:3: there are no answers/);
  await refuses(
    "longbench_trec",
    { classes: ["Person"] },
    { classes: [] },
    /rows\.jsonl:3: all_classes is empty, expected the classes that an answer may name/,
  );
  await refuses(
    "longbench_passage_retrieval_en",
    { answers: ["Paragraph 3"] },
    { answers: ["Paragraph 3", "the third"] },
    /rows\.jsonl:3: the answer "the third" names no paragraph, expected such as Paragraph 7/,
  );
});
