/** What a text is for: to be scored, or to calibrate on. */
export type TextPurpose = "test" | "calibration";

/** A text by its place, and how many documents of it are usual. */
export interface NamedText {
  readonly place: string;
  readonly documents?: number;
}

const WIKITEXT = "hf:datasets/Salesforce/wikitext/wikitext-2-raw-v1";
const C4 = "hf:datasets/allenai/c4/en";

/**
 * Texts of the hub by the names that papers have for them. Those to calibrate on are never those that
 * are scored.
 */
const NAMES: Readonly<Record<string, Readonly<Partial<Record<TextPurpose, NamedText>>>>> = {
  // Joined by blank lines, as GPTQ's evaluation has it.
  wikitext2: {
    test: { place: `${WIKITEXT}/test-00000-of-00001.parquet` },
    calibration: { place: `${WIKITEXT}/train-00000-of-00001.parquet` },
  },
  // The files that GPTQ takes, and the documents that its evaluation does.
  c4: {
    test: { place: `${C4}/c4-validation.00000-of-00008.json.gz`, documents: 1100 },
    calibration: { place: `${C4}/c4-train.00000-of-01024.json.gz`, documents: 2000 },
  },
  // What AWQ and DeepCompressor calibrate on.
  pile: {
    calibration: {
      place: "hf:datasets/mit-han-lab/pile-val-backup/val.jsonl.zst",
      documents: 2000,
    },
  },
};

/** All names, as a sentence lists them. */
export const TEXT_NAMES: string = Object.keys(NAMES).join(", ");

/**
 * The text that a name stands for; any other place is one already, and so is a name where a file is
 * called so.
 *
 * Throws a `TypeError` for a name that has no text for the purpose.
 */
export async function namedText(
  name: string,
  purpose: TextPurpose = "test",
): Promise<NamedText> {
  const texts = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
  if (!texts || await isThere(name)) return { place: name };
  const text = texts[purpose];
  if (text) return text;
  const known = Object.entries(NAMES).flatMap(([name, texts]) => texts[purpose] ? [name] : []);
  throw new TypeError(
    `Cannot take "${name}" as a text to be scored: it is one to calibrate on, expected one of ${
      known.join(", ")
    } or a file`,
  );
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
