/**
 * Writes odd tokenizers that ours reads, with what it gives texts, a JSON object a line, for `tokenizers.py`
 * to hold against the Rust library: what is read must give the same.
 *
 * Run: deno run -A tests/fuzz/tokenizers.ts COUNT SEED OUT
 */
import parts from "../testdata/tokenizer_parts.json" with { type: "json" };
import { openTokenizer } from "../../stages/models/tokenizer.ts";
import { mutant, randomAt } from "./mutation.ts";
import { TARGETS } from "./targets.ts";

const TEXTS = [
  "Hello  world",
  " don't stop 12345!",
  "naïve café — 日本語 👩‍👩‍👧",
  "a\n\nb\tc ",
  "<s>abc</s>[UNK] ABC",
];

const [count, seed, out] = Deno.args;
if (count === undefined || seed === undefined || out === undefined) {
  throw new TypeError("Cannot write tokenizers: expected tokenizers.ts COUNT SEED OUT");
}
const seeds = parts.tokenizers.map(({ tokenizer }) =>
  new TextEncoder().encode(
    JSON.stringify({ ...tokenizer, model: parts.models[tokenizer.model] }),
  )
);
const lines: string[] = [];
for (let at = 0; at < Number(count); at++) {
  const random = randomAt(Number(seed), at);
  // One at a time, so that no other lends it parts.
  const own = seeds[random(seeds.length)]!;
  const text = new TextDecoder().decode(mutant([own], TARGETS.tokenizer!.words, random));
  try {
    const tokenizer = openTokenizer({ tokenizer: JSON.parse(text), config: {} });
    const ids = TEXTS.map((each) => tokenizer.encode(each));
    const framed = TEXTS.map((each) => tokenizer.encode(each, { special: true }));
    const same = text === new TextDecoder().decode(own);
    if (!same) lines.push(JSON.stringify({ at, tokenizer: text, texts: TEXTS, ids, framed }));
  } catch {
    // Refused in a sentence, which the other targets look at.
  }
}
await Deno.writeTextFile(out, lines.map((line) => `${line}\n`).join(""));
