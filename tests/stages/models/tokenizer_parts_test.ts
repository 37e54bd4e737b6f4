import { strict as assert } from "node:assert";
import { openTokenizer } from "../../../stages/models/tokenizer.ts";
import parts from "../../testdata/tokenizer_parts.json" with { type: "json" };

/** What the library gives a text; `framed` where it puts tokens around it. */
interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly framed?: number[];
  readonly decoded: string;
}

for (const { name, tokenizer, cases } of parts.tokenizers) {
  Deno.test(`ids and texts of the Rust library: ${name}`, () => {
    const model = parts.models[tokenizer.model];
    const opened = openTokenizer({ tokenizer: { ...tokenizer, model }, config: {} });
    for (const { text, ids, framed = ids, decoded } of cases as Case[]) {
      assert.deepEqual(opened.encode(text), ids, JSON.stringify(text));
      assert.deepEqual(opened.encode(text, { special: true }), framed, JSON.stringify(text));
      assert.equal(ids.length === 0 ? "" : opened.decode(ids), decoded, JSON.stringify(text));
    }
  });
}
