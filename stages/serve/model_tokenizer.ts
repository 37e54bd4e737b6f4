import { architectureOf } from "../models/architecture.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { openServedTokenizer, type ServedTokenizer, withTemplate } from "./served_tokenizer.ts";

/** The tokenizer of a model artifact, with another chat template where one is said; throws where it has none. */
export async function servedTokenizerOf(
  path: string,
  chatTemplate?: string,
): Promise<ServedTokenizer> {
  using checkpoint = await openCheckpoint(path);
  const { tokenizer, files, config } = checkpoint;
  const rows = architectureOf(config).config.vocabulary;
  if (tokenizer) {
    return openServedTokenizer(tokenizer, withTemplate(files, chatTemplate), config, rows);
  }
  throw new TypeError(
    `Cannot serve "${path}": it has no tokenizer, expected tokenizer.json; load it from a checkpoint that has one`,
  );
}
