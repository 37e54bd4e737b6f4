import type { Forecast } from "../../pipeline/stage.ts";
import { sampleText } from "../data/text_sample.ts";
import type { TokenizerFiles } from "../formats/checkpoint.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { hostPeak } from "../models/peaks.ts";
import { openTokenizer, type Tokenizer } from "../models/tokenizer.ts";
import { jsonBytes, type ModelOutline, parsedBytes, type TokensOutline } from "./outlines.ts";

/** Bytes of text a token has where no tokenizer can be asked. */
const USUAL_BYTES = 4;
/** Bytes of strings and ids for each byte of a text. */
const HELD = 24;

/** Tokenizers by the model they are of: opening one takes longer than a sample. */
const opened = new WeakMap<ModelOutline, Promise<Tokenizer | undefined>>();

/** What turning a text into tokens takes; their count comes from a sample of the text. */
export async function forecastTokenize(
  { model }: { readonly model: ModelOutline },
  { text, field, bytes, special }: {
    readonly text: string;
    readonly field: string;
    readonly bytes: number;
    readonly special: boolean;
  },
): Promise<Forecast> {
  const sample = await sampleText(text, { field, bytes });
  const sampled = sample.parts.reduce(
    (sum, part) => sum + new TextEncoder().encode(part).length,
    0,
  );
  const known = opened.get(model) ?? tokenizerOf(model);
  opened.set(model, known);
  const tokenizer = await known;
  const tokens = tokenizer
    ? sample.parts.reduce((sum, part) => sum + tokenizer.encode(part).length, 0)
    : sampled / USUAL_BYTES;
  const around = special && tokenizer ? tokenizer.encode("", { special }).length : 0;
  const count = Math.round(around + tokens * sample.bytes / Math.max(1, sampled));
  const facts: TokensOutline = { count };
  const described = jsonBytes({ count, digest: "0".repeat(64) });
  return {
    deviceBytes: 0,
    hostBytes: hostPeak({ arrays: 4 * count }) + parsedBytes(model) + HELD * sample.bytes,
    diskBytes: 4 * count + described,
    facts,
  };
}

async function tokenizerOf({ tokenizer }: ModelOutline): Promise<Tokenizer | undefined> {
  const files = typeof tokenizer === "string" ? await filesIn(tokenizer) : tokenizer;
  return files && openTokenizer(files);
}

async function filesIn(place: string): Promise<TokenizerFiles | undefined> {
  using checkpoint = await openCheckpoint(place);
  return checkpoint.tokenizer;
}
