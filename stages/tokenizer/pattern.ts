import { generate } from "oniguruma-parser/generator";
import { parse } from "oniguruma-parser/parser";
import { toRegExp } from "oniguruma-to-es";
import { ambiguityOf } from "./ambiguity.ts";
import { checkTokenizerLimit } from "./limits.ts";

/** A regular expression that is asked with `exec` from its `lastIndex`. */
export type Pattern = RegExp;

const compiled = new Map<string, Pattern>();

/**
 * Compiles a regular expression of a `tokenizer.json`, which is one of Oniguruma's.
 *
 * Throws where it means nothing or something else here, and where matching it may take time
 * exponential in the length of a text.
 */
export function compilePattern(source: string): Pattern {
  const found = compiled.get(source);
  if (found) return found;
  checkTokenizerLimit(
    "patternLength",
    source.length,
    `a regular expression of it has ${source.length} characters`,
  );
  const refuse = (why: string, cause?: unknown) =>
    new TypeError(
      `Cannot use the tokenizer: its regular expression /${shortened(source)}/ ${why}`,
      { cause },
    );
  let pattern: Pattern;
  let problem: string | undefined;
  try {
    const expression = parse(source);
    const changed = spellWords(expression);
    problem = ambiguityOf(expression);
    if (changed && /\(\?[a-z]*x/.test(source)) {
      throw new SyntaxError("it has words or their ends beside the flag x");
    }
    pattern = toRegExp(changed ? generate(expression).pattern : source, {
      global: true,
      accuracy: "strict",
      rules: { captureGroup: true },
    });
  } catch (cause) {
    const reason = (cause as Error).message.replaceAll(/\s+/g, " ");
    throw refuse(`cannot be read (${reason}), expected one of Oniguruma's`, cause);
  }
  if (problem !== undefined) {
    throw refuse(`${problem}, which may take exponential time, expected one that cannot`);
  }
  compiled.set(source, pattern);
  return pattern;
}

/** What Oniguruma takes for a character of words, in a class and elsewhere. */
const WORD_IN_CLASS = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}²³¹¼½¾]";
const BOUNDARY = `(?:(?<=${WORD})(?!${WORD})|(?<!${WORD})(?=${WORD}))`;
const NO_BOUNDARY = `(?:(?<=${WORD})(?=${WORD})|(?<!${WORD})(?!${WORD}))`;

/**
 * Puts what `\w`, `\W`, `\b` and `\B` stand for in their place: they have other characters in
 * Oniguruma than the translation gives them.
 */
function spellWords(node: unknown, inClass = false): boolean {
  if (typeof node !== "object" || node === null) return false;
  const parts = node as Record<string, unknown>;
  const within = inClass || parts.type === "CharacterClass";
  let changed = false;
  for (const [key, child] of Object.entries(parts)) {
    if (key === "parent") continue;
    const words = wordsOf(child, within);
    if (words) parts[key] = words;
    changed = words !== undefined || spellWords(child, within) || changed;
  }
  return changed;
}

function wordsOf(node: unknown, inClass: boolean): unknown {
  if (typeof node !== "object" || node === null) return undefined;
  const { type, kind, negate } = node as Record<string, unknown>;
  const read = (source: string) => parse(source).body[0]!.body[0];
  if (type === "CharacterSet" && kind === "word") {
    const words = inClass ? WORD_IN_CLASS : WORD;
    return read(negate ? words.replace("[", "[^") : words);
  }
  if (type !== "Assertion" || kind !== "word_boundary") return undefined;
  return read(negate ? NO_BOUNDARY : BOUNDARY);
}

function shortened(source: string): string {
  return source.length <= 200 ? source : `${source.slice(0, 200)}…`;
}
