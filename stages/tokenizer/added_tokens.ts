import { z } from "zod";
import { checkTokenId, checkTokenizerLimit } from "./limits.ts";
import type { Stretch } from "./split.ts";
import { Trie } from "./trie.ts";
import { WORD_CLASS } from "./unicode.ts";
import { checkTokenLength } from "./vocabulary.ts";

const addedToken = z.object({
  id: z.unknown(),
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});

/** A token that is met in text before it is cut. */
export interface AddedToken extends z.output<typeof addedToken> {
  readonly id: number;
  /** Whether it is looked for in text that is normalized, as it is then itself. */
  readonly normalized: boolean;
  /** What is looked for, and what the token stands for in texts. */
  readonly spelt: string;
}

/** A stretch of text, or the id of an added token that stands there. */
export type Part = Stretch | number;

const WORD = new RegExp(`[${WORD_CLASS}]`, "u");
const SPACE = /\p{White_Space}/u;

/** Reads the `added_tokens` of a `tokenizer.json`; those of the vocabulary keep its ids. */
export function readAddedTokens(
  json: unknown,
  vocabulary: ReadonlyMap<string, number>,
  normalize: (stretch: Stretch) => Stretch,
): AddedToken[] {
  const list = json ?? [];
  if (!Array.isArray(list)) {
    throw new TypeError("Cannot use the tokenizer: its added_tokens are no list, expected one");
  }
  checkTokenizerLimit("tokens", list.length, `it has ${list.length} added tokens`);
  return list.flatMap((each, at): AddedToken[] => {
    const parsed = addedToken.safeParse(each);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new TypeError(
        `Cannot use the tokenizer: its added token ${at} has ${
          issue!.path.join(".") || "fields"
        } that cannot be read (${issue!.message.toLowerCase()}), expected an id and its content`,
      );
    }
    const { id, content, normalized, special } = parsed.data;
    if (content === "") return [];
    checkTokenId(id, content);
    checkTokenLength(content);
    const own = vocabulary.get(content);
    if (own !== undefined && own !== id) {
      throw new TypeError(
        `Cannot use the tokenizer: its added token ${
          JSON.stringify(content.slice(0, 80))
        } has id ${id} and ${own} in the vocabulary, expected one id`,
      );
    }
    const changes = normalized ?? !special;
    const spelt = changes ? normalize({ text: content, first: true }).text : content;
    if (spelt !== "") return [{ ...parsed.data, id, normalized: changes, spelt }];
    throw new TypeError(
      `Cannot use the tokenizer: its added token ${
        JSON.stringify(content)
      } is empty once normalized, expected text`,
    );
  });
}

/**
 * Finds added tokens: first those that are looked for in the text as it is, then, in what is between
 * them and normalized, the others. The longest that begins first is taken, as in the Rust library.
 */
export function addedTokenFinder(
  tokens: readonly AddedToken[],
  normalize: (stretch: Stretch) => Stretch,
): (text: string) => Part[] {
  // Of tokens that are spelt alike once normalized, special ones come first.
  const ordered = [
    ...tokens.filter(({ special }) => special),
    ...tokens.filter(({ special }) => !special),
  ];
  const [plain, normal] = [new Trie(), new Trie()];
  for (const [at, { spelt, normalized }] of ordered.entries()) {
    (normalized ? normal : plain).add(spelt, at);
  }
  return (text) =>
    find({ text, first: true }, plain, ordered).flatMap((part) =>
      typeof part === "number" ? [part] : find(normalize(part), normal, ordered)
    );
}

function find({ text, first }: Stretch, trie: Trie, tokens: readonly AddedToken[]): Part[] {
  const parts: Part[] = [];
  let done = 0;
  const between = (end: number) => {
    if (end > done) parts.push({ text: text.slice(done, end), first: first && done === 0 });
  };
  for (let at = 0; at < text.length;) {
    const found = trie.longest(text, at);
    if (!found) {
      at++;
      continue;
    }
    const [end, number] = found;
    const token = tokens[number]!;
    if (!token.single_word || standsAlone(text, at, end)) {
      between(token.lstrip ? Math.max(spacesFrom(text, at, -1), done) : at);
      parts.push(token.id);
      done = token.rstrip ? spacesFrom(text, end, 1) : end;
    }
    at = end;
  }
  between(text.length);
  return parts;
}

/** Where white space ends that begins at a place and goes one way. */
function spacesFrom(text: string, place: number, step: 1 | -1): number {
  let at = place;
  while (SPACE.test(text[step < 0 ? at - 1 : at] ?? "")) at += step;
  return at;
}

function standsAlone(text: string, start: number, end: number): boolean {
  const before = Array.from(text.slice(Math.max(0, start - 2), start)).at(-1) ?? "";
  const behind = String.fromCodePoint(text.codePointAt(end) ?? 0x20);
  return !WORD.test(before) && !WORD.test(behind);
}
