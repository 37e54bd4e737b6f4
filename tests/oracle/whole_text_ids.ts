/**
 * Writes the ids that a model's tokenizer gives a whole text, u32 little-endian, for `whole_text_ids.py` and
 * `llama_cpp_ids.mjs` to hold against others.
 *
 * Run: deno run -A tests/oracle/whole_text_ids.ts MODEL TEXT IDS
 */
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { openTokenizer } from "../../stages/models/tokenizer.ts";

const [model, text, ids] = Deno.args;
if (model === undefined || text === undefined || ids === undefined) {
  throw new TypeError("Cannot write ids: expected whole_text_ids.ts MODEL TEXT IDS");
}
using checkpoint = await openCheckpoint(model);
const found = openTokenizer(checkpoint.tokenizer!).encode(await Deno.readTextFile(text));
await Deno.writeFile(ids, new Uint8Array(Uint32Array.from(found).buffer));
