import { strict as assert } from "node:assert";
import { EMBEDDED, openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { openTokenizer } from "../../../stages/models/tokenizer.ts";
import { GOLDEN } from "../../support/golden_text.ts";

Deno.test("the embedded tokenizer gives the ids of the Rust library", async () => {
  using checkpoint = await openCheckpoint(EMBEDDED);
  assert.deepEqual(openTokenizer(checkpoint.tokenizer!).encode(GOLDEN.text), GOLDEN.ids);
});
