import { createHash } from "node:crypto";
import type { Dialogue } from "../data/dialogue.ts";
import { tellReading } from "../data/reading.ts";
import { namedText } from "../data/named_texts.ts";
import { readSourceText } from "../data/text.ts";
import { sampleText } from "../data/text_sample.ts";
import { tokenizerOf } from "../facts.ts";
import type { TokenizerFiles } from "../formats/checkpoint.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { hostPeak } from "../models/peaks.ts";
import type { Conversation } from "../serve/chat_fields.ts";
import type { ServedTokenizer } from "../serve/served_tokenizer.ts";
import { parsedBytes } from "../sizes.ts";
import type { WorkOf } from "../kinds.ts";
import type { TokenizeDeclaration } from "../tokenize.ts";

/** Bytes of text a token has where no tokenizer can be asked. */
const USUAL_BYTES = 4;
/** Bytes of strings and ids for each byte of a text. */
const HELD_BYTES = 24;
/** Bytes of `tokens.json` beside the digits of its count. */
const RECORD_BYTES = 95;

/** See `tokenize`. */
export const tokenizeWork: WorkOf<TokenizeDeclaration> = {
  async forecast({ model }, { text, purpose, bytes, special, ...options }) {
    const { place, ...usual } = await namedText(text, purpose);
    const sample = await sampleText(place, { ...usual, ...said(options), bytes });
    const began = performance.now();
    const length = (part: string) => new TextEncoder().encode(part).length;
    const sampled = sample.parts.reduce((sum, part) => sum + length(part), 0);
    const tokenizer = await tokenizerOf(model);
    const tokens = tokenizer
      ? sample.parts.reduce((sum, part) => sum + tokenizer.encode(part).length, 0)
      : sampled / USUAL_BYTES;
    const around = special && tokenizer ? tokenizer.encode("", { special }).length : 0;
    // The text is like its sample.
    const seconds = (performance.now() - began) / 1000 * sample.bytes / Math.max(1, sampled);
    const count = Math.round(around + tokens * sample.bytes / Math.max(1, sampled));
    return {
      ...tokenizer && { seconds },
      deviceBytes: 0,
      hostBytes: hostPeak(4 * count) + parsedBytes(model, { tokenizes: true }) +
        HELD_BYTES * sample.bytes,
      diskBytes: RECORD_BYTES + String(count).length + 4 * count,
      facts: { count },
    };
  },
  async run(job, { model }, { text, purpose, special, ...options }) {
    using checkpoint = await openCheckpoint(model.path);
    const { tokenizer: files } = checkpoint;
    if (!files) {
      throw new TypeError(
        `Cannot tokenize "${text}": the model has no tokenizer.json, expected one beside its weights`,
      );
    }
    const layOut = await chatLayout(files, checkpoint.files);
    const { place, ...usual } = await namedText(text, purpose);
    const reading = { ...usual, ...said(options), signal: job.signal, layOut };
    const source = await readSourceText(place, reading);
    const { openTokenizer } = await import("../models/tokenizer.ts");
    const tokenizer = openTokenizer(files);
    // A chat template writes the special tokens itself.
    const around = special && !source.chat;
    const ids = Uint32Array.from(tokenizer.encode(source.text, { special: around }));
    const raw = new Uint8Array(ids.buffer);
    await Deno.writeFile(`${job.out}/tokens.u32`, raw);
    const digest = createHash("sha256").update(raw).digest("hex");
    await Deno.writeTextFile(
      `${job.out}/tokens.json`,
      JSON.stringify({ count: ids.length, digest }, undefined, 2),
    );
    const unknown = unknownToken(files);
    const told = tellReading(source, { ids, size: tokenizer.size, unknown });
    job.note(told.words, { ...told.data, digest });
    for (const warning of told.warnings) job.note(warning, undefined, "warning");
  },
};

/** Options without those that nobody has said. */
function said<Options extends object>(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Options;
}

/** Lays conversations out by the model's chat template, which is opened for the first of them. */
async function chatLayout(
  files: TokenizerFiles,
  texts: ReadonlyMap<string, string>,
): Promise<(dialogue: Dialogue) => string> {
  const { chatText } = await import("../serve/chat_template.ts");
  const { openServedTokenizer } = await import("../serve/served_tokenizer.ts");
  let served: ServedTokenizer | undefined;
  return ({ turns, tools }) => {
    served ??= openServedTokenizer(files, texts);
    if (served.chatTemplate === undefined) throw new TypeError("the model has no chat template");
    return chatText(served, {
      messages: turns as Conversation["messages"],
      add_generation_prompt: false,
      ...tools && { chat_template_kwargs: { tools } },
    });
  };
}

/** The id that stands for what the vocabulary lacks. */
function unknownToken({ tokenizer }: TokenizerFiles): number | undefined {
  const { model } = tokenizer as {
    readonly model?: {
      readonly unk_id?: number | null;
      readonly unk_token?: string | null;
      readonly vocab?: Readonly<Record<string, number>>;
    };
  };
  return model?.unk_id ?? (model?.unk_token ? model.vocab?.[model.unk_token] : undefined);
}
