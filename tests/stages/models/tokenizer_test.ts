import { strict as assert } from "node:assert";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { openTokenizer } from "../../../stages/models/tokenizer.ts";
import { GOLDEN } from "../../support/golden_text.ts";

Deno.test("the embedded tokenizer gives the ids of the Rust library", async () => {
  using checkpoint = await openCheckpoint(EMBEDDED);
  assert.deepEqual(openTokenizer(checkpoint.tokenizer!).encode(GOLDEN.text), GOLDEN.ids);
});

Deno.test("a tokenizer that is none is refused in a sentence", () => {
  const bpe = { type: "BPE", vocab: { a: 0 }, merges: [] };
  const whole = {
    model: bpe,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
  };
  for (
    const tokenizer of [
      null,
      5,
      [],
      {},
      { ...whole, model: null },
      { ...whole, model: [] },
      { ...whole, model: { type: "BPE" } },
      { ...whole, model: { ...bpe, vocab: null } },
      { ...whole, model: { ...bpe, merges: null } },
      { ...whole, model: { ...bpe, merges: [5] } },
      { ...whole, added_tokens: 5 },
      { ...whole, pre_tokenizer: { type: "None" } },
      { ...whole, decoder: { type: "None" } },
    ]
  ) {
    assert.throws(
      () => openTokenizer({ tokenizer, config: {} }),
      /^TypeError: Cannot use .*, expected /,
      JSON.stringify(tokenizer),
    );
  }
  assert.throws(
    () => openTokenizer({ tokenizer: whole, config: 5 }),
    /^TypeError: Cannot use the tokenizer: tokenizer_config\.json is no object, expected one$/,
  );
});
