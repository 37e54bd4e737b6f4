/**
 * How large what files say of themselves may be: well beyond every published model, far below what a
 * hostile file can ask for. What lies within takes some hundred megabytes of memory, and what does
 * not is refused before anything is made of it. Weights have no limit but the file's length.
 *
 * `TOKENIZER_LIMITS` and `TEMPLATE_LIMITS` have those of tokenizers and chat templates.
 */
export const FILE_LIMITS = {
  /** Bytes of a text beside the weights: the largest tokenizers have 35 MB, indices 10 MB. */
  text: 2 ** 26,
  /** Lists and objects of a JSON text within each other: real ones stay below 20. */
  depth: 200,
  /** Members of all objects of a JSON text: vocabularies reach 1.2 million tokens. */
  members: 2 ** 21,
  /** Values of a JSON text: 0.6 million merges are three each. */
  values: 2 ** 22,
  /** Bytes of a safetensors header; the format's own limit. */
  safetensorsHeader: 100_000_000,
  /** Tensors of a file: models of a trillion parameters have about 100,000 in all their files. */
  tensors: 2 ** 18,
  /** Members of a safetensors header's entries, and values: three and nine make a matrix. */
  headerMembers: 2 ** 20,
  headerValues: 2 ** 22,
  /** Words of a GGUF file's metadata: real ones have below 100. */
  words: 2 ** 16,
  /** Weight files of a checkpoint, all open at once: the largest models have about 200. */
  shards: 1000,
  /** Bytes of a GGUF header: real ones hold a vocabulary of some ten megabytes. */
  ggufHeader: 2 ** 26,
  /** Values of all lists of a GGUF file: a vocabulary is in three or four of them. */
  listed: 2 ** 23,
  /** Strings among them: tokens and merges. */
  strings: 2 ** 21,
  /** Lists in lists of GGUF, of which no program writes any. */
  listDepth: 2,
  /** Bytes of a `tokenizer.model`, and pieces: the largest have 5 MB and 262,144. */
  pieces: 2 ** 25,
  fields: 2 ** 20,
  /** Bytes of a zip archive's directory, and entries: models have some hundred thousand at most. */
  zipDirectory: 2 ** 26,
  zipEntries: 2 ** 20,
  /** Bytes, objects and stack of a pickle: a model's takes about 200 bytes and 12 objects a tensor. */
  pickle: 2 ** 24,
  pickleObjects: 2 ** 20,
  pickleStack: 2 ** 20,
  pickleText: 2 ** 16,
} as const;

/** Refuses what is more than `FILE_LIMITS` has; `what` says that of the file. */
export function checkFileLimit(
  limit: keyof typeof FILE_LIMITS,
  value: number,
  { path, what }: { readonly path: string; readonly what: string },
): void {
  const most = FILE_LIMITS[limit];
  if (value <= most) return;
  throw new RangeError(`Cannot read "${path}": ${what}, expected at most ${most}`);
}
