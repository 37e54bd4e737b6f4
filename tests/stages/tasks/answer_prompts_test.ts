import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { openModel } from "../../../stages/models/architecture.ts";
import { openServedTokenizer } from "../../../stages/serve/served_tokenizer.ts";
import { answerWish } from "../../../stages/tasks/answer_prompts.ts";
import { prepareTasks } from "../../../stages/tasks/prepare_tasks.ts";
import type { TaskChoice } from "../../../stages/tasks/task_choice.ts";
import { RequestEncoder } from "../../../stages/tasks/token_requests.ts";
import { LONGBENCH_ROWS, longBenchAnswers } from "../../support/longbench_answers.ts";
import { rowsOf } from "../../support/task_models.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

/** What the embedded model is asked for the items of tasks, with their places. */
async function wishes(choice: TaskChoice, maxLength: number) {
  using files = await openModel(EMBEDDED);
  const { checkpoint: { tokenizer: own, files: texts, config }, architecture } = files;
  const tokenizer = openServedTokenizer(own!, texts, config, architecture.config.vocabulary);
  const encoder = new RequestEncoder(tokenizer, maxLength);
  return (await prepareTasks([choice])).flatMap(({ task, items }) =>
    items.map((item) => ({
      task: task.name,
      index: item.index,
      wish: () => answerWish(task.file, item, { tokenizer, encoder }),
    }))
  );
}

Deno.test("prompts of LongBench are cut in their middle and laid out as its own code does", async () => {
  const golden = await longBenchAnswers();
  const data = fileURLToPath(LONGBENCH_ROWS);
  const asked = await wishes({ task: "longbench_en", data }, 1024);
  assert.equal(asked.length, 32);
  for (const { task, index, wish } of asked) {
    const { tokens, prompt } = golden[task.replace("longbench_", "")]!.items[index]!;
    const own = wish().prompt;
    assert.equal(own.length, tokens, `${task}, row ${index}`);
    const digest = createHash("sha256").update(Uint32Array.from(own)).digest("hex");
    assert.equal(digest, prompt, `${task}, row ${index}`);
  }
  assert.ok(Object.values(golden).every(({ items }) => items[1]!.tokens >= 499), "some are cut");
});

Deno.test("other prompts lose their beginning, and room for the answer is asked for", async () => {
  const data = { test: rowsOf("gsm8k", "test") };
  const [first] = await wishes({ task: "gsm8k", data, shots: 0 }, 2048);
  const [cut] = await wishes({ task: "gsm8k", data, shots: 0 }, 266);
  const whole = first!.wish();
  assert.deepEqual(cut!.wish().prompt, whole.prompt.slice(-10));
  assert.deepEqual([whole.maxTokens, whole.minTokens, whole.stopTokens], [256, 0, []]);
  const [none] = await wishes({ task: "gsm8k", data, shots: 0 }, 256);
  assert.throws(
    () => none!.wish(),
    /Cannot generate 256 tokens: the model takes 256 of prompt and answer together, expected more; lower max_tokens or raise max_length/,
  );
});
