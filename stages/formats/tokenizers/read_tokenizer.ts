import type { TokenizerFiles } from "../checkpoint.ts";
import { checkFileLimit } from "../file_limits.ts";
import { namesThere, readOptionalJson, readTexts } from "../foreign_json.ts";
import { withAddedTokens } from "./added_token_files.ts";
import { TOKENIZER_FILES, TOKENIZER_SOURCES } from "./source_files.ts";
import { sentencePieceFiles } from "./sentencepiece_model.ts";
import { vocabularyFiles } from "./vocabulary_files.ts";

const {
  json: JSON_FILE,
  config: CONFIG,
  pieces: PIECES,
  vocabulary: VOCABULARY,
  merges: MERGES,
} = TOKENIZER_FILES;

/**
 * The tokenizer that a directory holds, if there is one: `tokenizer.json`, else `tokenizer.model` of
 * SentencePiece, else `vocab.json` with `merges.txt`, which are made into the same.
 */
export async function readTokenizer(directory: string): Promise<TokenizerFiles | undefined> {
  const config = await readOptionalJson(`${directory}/${CONFIG}`) ?? {};
  const tokenizer = await readOptionalJson(`${directory}/${JSON_FILE}`);
  if (tokenizer !== undefined) return { tokenizer, config };
  const made = await otherTokenizer(directory, config as Readonly<Record<string, unknown>>);
  return made && withAddedTokens(made, {
    added: await readOptionalJson(`${directory}/added_tokens.json`),
    special: await readOptionalJson(`${directory}/special_tokens_map.json`),
  });
}

async function otherTokenizer(
  directory: string,
  config: Readonly<Record<string, unknown>>,
): Promise<TokenizerFiles | undefined> {
  const there = namesThere(directory, TOKENIZER_SOURCES);
  if (there.includes(PIECES)) {
    const path = `${directory}/${PIECES}`;
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) throw new TypeError(`Cannot read "${path}": it is no file, expected one`);
    checkFileLimit("pieces", size, { path, what: `it has ${size} bytes` });
    return sentencePieceFiles(await Deno.readFile(path), path, config);
  }
  if (!there.includes(VOCABULARY) || !there.includes(MERGES)) return undefined;
  const path = `${directory}/${VOCABULARY}`;
  const vocabulary = await readOptionalJson(path);
  const merges = (await readTexts(directory, [MERGES])).get(MERGES)!;
  return vocabularyFiles({ vocabulary, merges }, path, config);
}
