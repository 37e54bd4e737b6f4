// Answers of the embedded model that are held to something, by way of the server.
import { strict as assert } from "node:assert";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { ANSWER_SCHEMAS } from "../../../support/answer_schemas.ts";
import { type ServedModel, serveModel } from "../../../support/model_server.ts";

const WISHES = { context: 512, sequences: 16, stepTokens: 256, queueRequests: 1000 };
const PROMPTS = ["Once upon a time", '{"a": ', "0"];

interface Choice {
  readonly text: string;
  readonly finish_reason: string;
}

async function ask(served: ServedModel, body: object): Promise<Choice[]> {
  const response = await served.post("/v1/completions", body);
  const json = await response.json();
  assert.equal(response.status, 200, JSON.stringify(json));
  return json.choices;
}

Deno.test("at temperature 1 every answer is valid by its schema, unless it was cut by length", async () => {
  await using served = await serveModel({ wishes: WISHES });
  const counted = { stop: 0, length: 0 };
  await Promise.all(
    Object.entries(ANSWER_SCHEMAS).map(async ([name, schema], seed) => {
      const older = JSON.stringify(schema).includes("additionalItems");
      const ajv = new (older ? Ajv : Ajv2020)({ strict: false, validateFormats: false });
      const valid = ajv.compile(schema as object);
      const choices = await ask(served, {
        prompt: PROMPTS,
        temperature: 1,
        max_tokens: 80,
        seed,
        response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
      });
      assert.equal(choices.length, PROMPTS.length);
      for (const { text, finish_reason: reason } of choices) {
        counted[reason as keyof typeof counted]++;
        if (reason === "length") continue;
        assert.ok(valid(JSON.parse(text)), `${name}: ${text}: ${ajv.errorsText(valid.errors)}`);
      }
    }),
  );
  assert.ok(counted.stop > counted.length * 2, JSON.stringify(counted));
});

Deno.test("every way to ask for a form is obeyed, and the crowd changes no answer", async () => {
  await using served = await serveModel({ wishes: WISHES });
  const forms: readonly (readonly [object, RegExp])[] = [
    [{ response_format: { type: "json_object" } }, /^\{[^]*\}$/],
    [{ guided_regex: "[a-z]{3}-\\d{2}" }, /^[a-z]{3}-\d{2}$/],
    [{ structured_outputs: { regex: "a.c" } }, /^a.c$/],
    [{ guided_choice: ["yes", "no", 'say "maybe"'] }, /^(yes|no|say "maybe")$/],
    [{ structured_outputs: { choice: ["a\nb"] } }, /^a\nb$/],
    [{ guided_json: { enum: [1, 2] } }, /^[12]$/],
    [{ guided_json: '{"const": "x"}' }, /^"x"$/],
    [{ json_schema: { type: "boolean" } }, /^(true|false)$/],
    [{ grammar: 'root ::= "(" inner ")"\ninner ::= [0-9] | root' }, /^\(+\d\)+$/],
    [{ guided_grammar: 'root ::= "α" "β"? # Greek' }, /^αβ?$/],
  ];
  const bodies = forms.map(([form], seed) => ({
    prompt: "Once upon a time there was",
    temperature: 1,
    max_tokens: 100,
    seed,
    ...form,
  }));
  const free = { prompt: "Once upon a time there was", temperature: 1, max_tokens: 60, seed: 3 };
  const alone: Choice[][] = [];
  for (const body of [...bodies, free]) alone.push(await ask(served, body));
  const crowd = await Promise.all([...bodies, free, ...bodies].map((body) => ask(served, body)));
  forms.forEach(([form, expected], at) => {
    const [{ text, finish_reason: reason }] = alone[at]! as [Choice];
    if (reason === "stop") assert.match(text, expected, JSON.stringify(form));
  });
  assert.deepEqual(crowd, [...alone, ...alone.slice(0, -1)]);
  assert.ok(alone.filter(([choice]) => choice!.finish_reason === "stop").length >= 9);
  await using guessing = await serveModel({ wishes: { ...WISHES, speculate: "ngram" } });
  const guessed: Choice[][] = [];
  for (const body of [...bodies, free]) guessed.push(await ask(guessing, body));
  assert.deepEqual(guessed, alone);
  const { drafts, acceptedTokens } = guessing.engine.stats().speculation;
  assert.ok(drafts > 0 && acceptedTokens > 0, `${drafts} drafts, ${acceptedTokens} tokens right`);
});

Deno.test("rules that are none are refused with what is wrong, and others go on", async () => {
  await using served = await serveModel({ wishes: WISHES });
  const prompt = "Once";
  const good = ask(served, { prompt, max_tokens: 30, guided_regex: "[a-z ]{40}" });
  for (
    const [grammar, why] of [
      ['root ::= "a" nothing', /"nothing" is not defined/],
      ["root ::= (", /EBNF/],
      ['start ::= "a"', /root/],
    ] as const
  ) {
    for (const stream of [false, true]) {
      const response = await served.post("/v1/completions", { prompt, grammar, stream });
      const { error } = await response.json();
      assert.deepEqual([response.status, error.param], [400, "grammar"], JSON.stringify(error));
      assert.match(error.message, why);
    }
  }
  assert.equal((await good)[0]!.finish_reason, "stop");
});

Deno.test("min_tokens keeps an answer from ending, and bad_words never come", async () => {
  await using served = await serveModel({ wishes: WISHES });
  const { tokenizer } = served;
  const prompt = "Once upon a time";
  const [plain] = await ask(served, { prompt, max_tokens: 30, temperature: 0 });
  const words = plain!.text.trim().split(/\W+/).filter((word) => word.length > 1);
  const [without] = await ask(served, { prompt, max_tokens: 30, temperature: 0, bad_words: words });
  for (const word of words) {
    assert.ok(!new RegExp(`\\b${word}\\b`).test(without!.text), without!.text);
  }
  assert.notEqual(without!.text, plain!.text);
  const [first] = tokenizer.encode(plain!.text);
  const ending = { prompt, max_tokens: 20, temperature: 0, stop_token_ids: [first] };
  const [cut] = await ask(served, ending);
  assert.equal(cut!.finish_reason, "stop");
  const response = await served.post("/v1/completions", { ...ending, min_tokens: 12 });
  const { usage } = await response.json();
  assert.ok(usage.completion_tokens >= 12, JSON.stringify(usage));
});

for (const speculate of [undefined, "ngram"] as const) {
  Deno.test(`min_tokens and bad_words hold within a grammar, which comes first, ${speculate ?? "not guessed"}`, async () => {
    await using served = await serveModel({ wishes: { ...WISHES, speculate } });
    const asked = { prompt: "Once upon a time", max_tokens: 60, temperature: 0 };
    const tokensOf = async (more: object) => {
      const response = await served.post("/v1/completions", { ...asked, ...more });
      const { choices: [{ text, finish_reason: reason }], usage } = await response.json();
      return { text, reason, count: usage.completion_tokens };
    };
    const words = { guided_regex: "[a-c]{1,50}" };
    const short = await tokensOf({ ...words, logit_bias: endsSoon(served) });
    assert.ok(short.reason === "stop" && short.count < 6, JSON.stringify(short));
    const least = short.count + 8;
    const long = await tokensOf({ ...words, logit_bias: endsSoon(served), min_tokens: least });
    // And the token that ends it.
    assert.deepEqual([long.reason, long.count], ["stop", least + 1], JSON.stringify(long));
    assert.match(long.text, /^[a-c]{1,50}$/);
    // It is complete, so that nothing but its end can come.
    const whole = await tokensOf({ guided_choice: ["yes"], min_tokens: 20 });
    assert.deepEqual([whole.text, whole.reason], ["yes", "stop"]);
    const choice = { guided_choice: ["yes", "no", "never"] };
    const free = await tokensOf(choice);
    // However it is spelt in tokens, it begins with one of these.
    const beginnings = Array.from(free.text, (_, at) => free.text.slice(0, at + 1));
    const other = await tokensOf({ ...choice, bad_words: beginnings });
    assert.ok(other.text !== free.text && other.reason === "stop", JSON.stringify(other));
    assert.match(other.text, /^(yes|no|never)$/);
    const only = await tokensOf({
      guided_choice: ["yes"],
      bad_words: ["yes", "y", "ye", "s", "es"],
    });
    assert.deepEqual([only.text, only.reason], ["yes", "stop"]);
  });
}

/** A bias that has answers end as soon as they may. */
function endsSoon({ tokenizer: { ends } }: ServedModel): Record<string, number> {
  return Object.fromEntries(ends.map((id) => [id, 100]));
}
