import { createHash } from "node:crypto";
import { z } from "zod";
import { readSourceText, textSources } from "./data/text.ts";
import { forecastTokenize } from "./forecast/tokenize.ts";
import { openCheckpoint } from "./models/open_checkpoint.ts";
import { defineStage } from "./kinds.ts";
import { openTokenizer } from "./models/tokenizer.ts";

const params = z.strictObject({
  text: z.string().default("stories:test").describe(
    "A text, .jsonl or .parquet file, or stories:test, stories:calibration or stories:train from the built-in generator.",
  ),
  field: z.string().default("text").describe("Field or column that holds the text."),
  bytes: z.int().positive().default(100_000).describe("Length of generated stories."),
  special: z.boolean().default(true).describe("Add the tokens the model puts around texts."),
});

/** Turns a text into token ids, once, with the model's own tokenizer. */
export const tokenize = defineStage({
  about: "Reads a text and turns it into token ids with the model's tokenizer.",
  version: 1,
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
  forecast: forecastTokenize,
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
