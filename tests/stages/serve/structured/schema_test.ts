import { ok, strictEqual, throws } from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Ajv } from "ajv";
import { shareVocabulary } from "../../../../stages/engine/grammar.ts";
import { GrammarThread } from "../../../../stages/engine/grammar_thread.ts";
import { ApiError } from "../../../../stages/serve/api_error.ts";
import { schemaGrammar } from "../../../../stages/serve/structured/schema.ts";
import { ANSWER_SCHEMAS } from "../../../support/answer_schemas.ts";
import { words } from "../../../support/random.ts";
import { randomAnswer } from "../../../support/random_answers.ts";
import { embeddedTokenizer } from "../../../support/server_stub.ts";

const ANSWERS = 12;
const MOST_TOKENS = 600;

Deno.test("whatever tokens are drawn, a whole answer is valid by the schema as it came", async (t) => {
  const tokenizer = await embeddedTokenizer();
  const vocabulary = shareVocabulary(
    tokenizer.size,
    tokenizer.ends,
    (token) => tokenizer.special(token) ? new Uint8Array() : tokenizer.bytes(token),
  );
  using thread = new GrammarThread(vocabulary, { seconds: 60 });
  ok(Object.keys(ANSWER_SCHEMAS).length >= 60);
  for (const [name, schema] of Object.entries(ANSWER_SCHEMAS)) {
    await t.step(name, async () => {
      const older = JSON.stringify(schema).includes("additionalItems");
      const ajv = new (older ? Ajv : Ajv2020)({ strict: false, validateFormats: false });
      const valid = ajv.compile(schema as object);
      const grammar = schemaGrammar(schema, "schema");
      const random = words(name);
      let whole = 0;
      for (let count = 0; count < ANSWERS; count++) {
        using constraint = thread.open(grammar);
        const text = await randomAnswer(constraint, vocabulary, {
          next: () => random.next().value / 2 ** 32,
          most: MOST_TOKENS,
        });
        if (text === undefined) continue;
        whole++;
        ok(valid(JSON.parse(text)), `${text}: ${ajv.errorsText(valid.errors)}`);
      }
      ok(whole > 0, "no answer came to its end");
    });
  }
});

for (
  const [schema, path, why] of [
    [{ type: "strin" }, "s.type", /"strin", expected object, array, string/],
    [false, "s", /false/],
    [7, "s", /7, expected an object/],
    [
      { type: "object", properties: { a: { type: "integer", multipleOf: 3 } } },
      "s.properties.a.multipleOf",
      /cannot be held to/,
    ],
    [{ not: { type: "null" } }, "s.not", /keyword/],
    [{ type: "array", items: { type: "array", uniqueItems: true } }, "s.items.uniqueItems", /held/],
    [{ type: "object", patternProperties: {} }, "s.patternProperties", /keyword/],
    [{ $ref: "#/$defs/a" }, "s.$ref", /nowhere/],
    [{ $ref: "https://example.com/a" }, "s.$ref", /same schema/],
    [{ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }, "s.$ref", /itself/],
    [{ type: "string", pattern: "(?=a)b" }, "s.pattern", /ahead/],
    [{ type: "string", pattern: "[a" }, "s.pattern", /held to/],
    [{ type: "string", pattern: "(a)\\1" }, "s.pattern", /back/],
    [{ type: "string", pattern: "a^b" }, "s.pattern", /middle/],
    [{ type: "string", pattern: "a", maxLength: 3 }, "s", /several/],
    [{ type: "string", format: "regex" }, "s.format", /"regex", expected date/],
    [{ type: "string", format: "constructor" }, "s.format", /"constructor", expected date/],
    [{ allOf: [{ required: 3 }, { required: ["a"] }] }, "s.allOf", /"required" twice/],
    [
      { allOf: [{ properties: { a: true } }, { properties: 3 }] },
      "s.allOf",
      /"properties" twice/,
    ],
    [{ type: "integer", minimum: 3, maximum: 2 }, "s", /nothing between/],
    [{ type: "array", minItems: 3, maxItems: 2 }, "s.minItems", /more than/],
    [{ enum: [] }, "s.enum", /no value/],
    [{ type: "string", const: 4 }, "s.const", /no value of its type/],
    [
      { oneOf: [{ type: "integer" }, { type: "number" }] },
      "s.oneOf",
      /together, expected anyOf/,
    ],
    [
      { type: "object", required: ["b"], additionalProperties: false, properties: { a: true } },
      "s.required",
      /"b"/,
    ],
    [{ anyOf: [{ type: "string" }], properties: {} }, "s.properties", /beside/],
  ] as const
) {
  Deno.test(`${JSON.stringify(schema)} is refused by its path`, () => {
    throws(() => schemaGrammar(schema, "s"), (error) => {
      ok(error instanceof ApiError);
      strictEqual(error.body.error.param, path);
      ok(why.test(error.message), error.message);
      return error.status === 400;
    });
  });
}

Deno.test("a schema that goes deeper than any is refused", () => {
  let deep: unknown = { type: "null" };
  for (let level = 0; level < 200; level++) deep = { type: "array", items: deep };
  throws(() => schemaGrammar(deep, "s"), /at most 64 levels/);
});
