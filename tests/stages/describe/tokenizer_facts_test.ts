import { strict as assert } from "node:assert";
import { tokenizerFacts } from "../../../stages/describe/tokenizer_facts.ts";
import tokenizer from "../../../configs/embedded/tokenizer.json" with { type: "json" };

async function factsOf(files: Readonly<Record<string, unknown>>) {
  const directory = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const text = typeof content === "string" ? content : JSON.stringify(content);
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    const { facts, problems } = await tokenizerFacts(directory, undefined);
    return { facts: Object.fromEntries(facts), problems };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a tokenizer and a chat template that work are told", async () => {
  const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
  const { facts, problems } = await factsOf({
    "tokenizer.json": tokenizer,
    "chat_template.jinja": template,
  });
  assert.match(facts.tokenizer!, /^BPE of \d+ tokens$/);
  assert.equal(facts["chat template"], "there");
  assert.deepEqual(problems, []);
});

Deno.test("a chat template that lays out no conversation is a problem", async () => {
  const { facts, problems } = await factsOf({
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": { chat_template: "{{ messages|markdown }}" },
  });
  assert.equal(facts["chat template"], "unusable");
  assert.deepEqual(problems, [
    "The chat template lays out no conversation, it says: No filter named 'markdown'.",
  ]);
});

Deno.test("a tokenizer that is refused or cannot be read is a problem", async () => {
  const refused = await factsOf({ "tokenizer.json": { ...tokenizer, normalizer: { type: "X" } } });
  assert.equal(refused.facts.tokenizer, "BPE");
  assert.match(refused.problems.join(), /^Cannot use the tokenizer: its normalizer is X, expected/);
  const none = await factsOf({ "tokenizer.json": "null" });
  assert.match(none.problems.join(), /^Cannot use the tokenizer: tokenizer.json is no object/);
  const broken = await factsOf({ "tokenizer.model": "no protobuf" });
  assert.equal(broken.facts.tokenizer, "unreadable");
  assert.match(broken.problems.join(), /^Cannot read ".*tokenizer.model": /);
  assert.deepEqual((await factsOf({})).facts, { tokenizer: "none", "chat template": "none" });
});
