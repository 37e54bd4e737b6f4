import { strict as assert } from "node:assert";
import { ItemLayout } from "../../../stages/tasks/item_texts.ts";
import { parseTaskFile, type TaskFile } from "../../../stages/tasks/task_file.ts";

const TASK = parseTaskFile(
  `about: x
output_type: multiple_choice
data: { place: p }
doc_to_text: "Q: {{ question }}\\n"
doc_to_choice: "{{ choices }}"
doc_to_target: "{{ answer }}"
substitute: [{ text: "@", with: " at " }, { regex: "(\\\\d)th", with: "$1." }]
metrics: [acc]
`,
  "own.yaml",
) as TaskFile;

const at = "own.jsonl:3";

Deno.test("a row becomes a context, choices and the right one", () => {
  const layout = new ItemLayout("own", TASK, {});
  const fields = { question: "4th@", choices: ["a@", "ü"], answer: "1" };
  const texts = layout.texts({ fields, at });
  assert.deepEqual(texts.contexts, ["Q: 4. at \n"]);
  assert.deepEqual(texts.choices, ["a at ", "ü"]);
  assert.equal(texts.gold, 1);
});

Deno.test("rows that do not fit are refused with row and field", () => {
  const layout = new ItemLayout("own", TASK, {});
  const refuses = (fields: Record<string, unknown>, message: RegExp) =>
    assert.throws(() => layout.texts({ fields, at }), message);
  const whole = { question: "?", choices: ["a", "b"], answer: 0 };
  const { question: _, ...less } = whole;
  refuses(
    less,
    /Cannot make doc_to_text of own\.jsonl:3: 'question' is undefined, expected it to be in the row; there are choices, answer/,
  );
  refuses(
    { ...whole, answer: 2 },
    /own\.jsonl:3: doc_to_target gives "2", expected the number of a choice below 2/,
  );
  refuses({ ...whole, answer: "b" }, /doc_to_target gives "b"/);
  refuses({ ...whole, choices: [] }, /own\.jsonl:3: there are 0 choices, expected at least 2/);
  refuses({ ...whole, choices: ["a", ""] }, /choice 1 is empty, expected a text/);
  refuses(
    { ...whole, choices: "ab" },
    /doc_to_choice of own\.jsonl:3: it gives ab, expected a list/,
  );
  refuses({ ...whole, choices: ["a", 7] }, /an entry of the list is 7, expected a text/);
});

Deno.test("a template that cannot be read is told before any row", () => {
  assert.throws(
    () => new ItemLayout("own", { ...TASK, doc_to_text: "{{ a" }, {}),
    /Cannot use doc_to_text of task "own": .*expected a template in Jinja/,
  );
});
