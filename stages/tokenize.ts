import { createHash } from "node:crypto";
import { z } from "zod";
import { readSourceText, textSources } from "./data/text.ts";
import { sampleText } from "./data/text_sample.ts";
import type { ModelOutline } from "./facts.ts";
import { openCheckpoint } from "./models/open_checkpoint.ts";
import { defineStage } from "./kinds.ts";
import { hostPeak } from "./models/peaks.ts";
import { openTokenizer, type Tokenizer } from "./models/tokenizer.ts";
import { parsedBytes } from "./sizes.ts";

const params = z.strictObject({
  text: z.string().default("stories:test").describe(
    "A text, .jsonl or .parquet file, or stories:test, stories:calibration or stories:train from the built-in generator.",
  ),
  field: z.string().default("text").describe("Field or column that holds the text."),
  bytes: z.int().positive().default(100_000).describe("Length of generated stories."),
  special: z.boolean().default(true).describe("Add the tokens the model puts around texts."),
});

/** Bytes of text a token has where no tokenizer can be asked. */
const USUAL_BYTES = 4;
/** Bytes of strings and ids for each byte of a text. */
const HELD_BYTES = 24;
/** Bytes of `tokens.json` beside the digits of its count. */
const RECORD_BYTES = 95;

/** Turns a text into token ids, once, with the model's own tokenizer. */
export const tokenize = defineStage({
  about: "Reads a text and turns it into token ids with the model's tokenizer.",
  version: 2,
  params,
  inputs: { model: "model" },
  output: "tokens",
  example: { bytes: 4000 },
  places: ["text"],
  async fingerprint({ text }, files) {
    const sources = await textSources(text);
    if (sources.length === 0) return text;
    return await Promise.all(sources.map((path) => files.digest(path)));
  },
  async forecast({ model }, { text, field, bytes, special }) {
    const sample = await sampleText(text, { field, bytes });
    const length = (part: string) => new TextEncoder().encode(part).length;
    const sampled = sample.parts.reduce((sum, part) => sum + length(part), 0);
    const tokenizer = await tokenizerOf(model);
    const tokens = tokenizer
      ? sample.parts.reduce((sum, part) => sum + tokenizer.encode(part).length, 0)
      : sampled / USUAL_BYTES;
    const around = special && tokenizer ? tokenizer.encode("", { special }).length : 0;
    const count = Math.round(around + tokens * sample.bytes / Math.max(1, sampled));
    return {
      deviceBytes: 0,
      hostBytes: hostPeak(4 * count) + parsedBytes(model) + HELD_BYTES * sample.bytes,
      diskBytes: RECORD_BYTES + String(count).length + 4 * count,
      facts: { count },
    };
  },
  async run(job, { model }, { text, field, bytes, special }) {
    using checkpoint = await openCheckpoint(model.path);
    if (!checkpoint.tokenizer) {
      throw new TypeError(
        `Cannot tokenize "${text}": the model has no tokenizer.json, expected one beside its weights`,
      );
    }
    const content = await readSourceText(text, { field, bytes, signal: job.signal });
    const ids = Uint32Array.from(openTokenizer(checkpoint.tokenizer).encode(content, { special }));
    const raw = new Uint8Array(ids.buffer);
    await Deno.writeFile(`${job.out}/tokens.u32`, raw);
    const digest = createHash("sha256").update(raw).digest("hex");
    await Deno.writeTextFile(
      `${job.out}/tokens.json`,
      JSON.stringify({ count: ids.length, digest }, undefined, 2),
    );
    job.note(`${ids.length} tokens from ${content.length} characters`, {
      tokens: ids.length,
      digest,
    });
  },
});

/** Tokenizers by the model they are of: opening one takes longer than a sample. */
const opened = new WeakMap<ModelOutline, Promise<Tokenizer | undefined>>();

async function tokenizerOf(model: ModelOutline): Promise<Tokenizer | undefined> {
  const found = opened.get(model) ?? openFrom(model);
  opened.set(model, found);
  return await found;
}

async function openFrom({ tokenizer }: ModelOutline): Promise<Tokenizer | undefined> {
  if (typeof tokenizer !== "string") return tokenizer && openTokenizer(tokenizer);
  using checkpoint = await openCheckpoint(tokenizer);
  return checkpoint.tokenizer && openTokenizer(checkpoint.tokenizer);
}
