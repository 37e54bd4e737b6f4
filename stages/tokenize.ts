import { z } from "zod";
import { namedText } from "./data/named_texts.ts";
import { textSources } from "./data/text_sources.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  text: z.string().default("stories:test").describe(
    "A file of text, JSON lines, a JSON array or parquet, also in gzip or zstd; wikitext2, c4 or pile from the hub; or stories:test, stories:calibration or stories:train from the built-in generator.",
  ),
  purpose: z.enum(["test", "calibration"]).optional().describe(
    "What the text is for: of wikitext2 and c4, the part that is scored, or the one to train on; to be scored unless said.",
  ),
  field: z.string().optional().describe(
    "Field or column that holds texts, or conversations that the model's chat template lays out; text unless said, else messages or conversations.",
  ),
  documents: z.int().positive().optional().describe(
    "How many texts or conversations of a file to take from its beginning; all unless said, of c4 and pile some.",
  ),
  plain: z.boolean().default(false).describe(
    "Read the file as one text even where it looks like JSON or CSV.",
  ),
  bytes: z.int().positive().default(100_000).describe("Length of generated stories."),
  special: z.boolean().default(true).describe("Add the tokens the model puts around texts."),
});

const declaration = declareStage({
  about:
    "Reads a text and turns it into token ids with the model's tokenizer; conversations by its chat template.",
  version: 2,
  params,
  inputs: { model: "model" },
  output: "tokens",
  example: { bytes: 4000 },
  places: ["text"],
  async fingerprint({ text, purpose }, files) {
    const { place, documents } = await namedText(text, purpose);
    const sources = await textSources(place);
    if (sources.length === 0) return text;
    const digests = await Promise.all(sources.map((path) => files.digest(path)));
    return documents === undefined ? digests : { digests, documents };
  },
});

/** What `tokenize` declares, for its work. */
export type TokenizeDeclaration = typeof declaration;

/** Turns a text into token ids, once, with the model's own tokenizer. */
export const tokenize = withWork(
  declaration,
  async () => (await import("./work/tokenize.ts")).tokenizeWork,
);
