// deno-lint-ignore no-control-regex -- Python's white space has control characters
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
/** A run of Python's white space, `\s+` there. */
export const SPACES: RegExp = new RegExp(`${SPACE.source}+`);
// deno-lint-ignore no-control-regex -- and so have its ends of lines
const LINE_END = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/g;

/** Whether a character is white space to Python, for which U+FEFF is none. */
export function isSpace(character: string): boolean {
  return SPACE.test(character);
}

/** Takes characters off the ends of a text, white space unless said, as `str.strip` does. */
export function strip(
  text: string,
  characters: string | null,
  ends: "both" | "left" | "right",
): string {
  const set = characters === null ? undefined : new Set(characters);
  const goes = (character: string) => set ? set.has(character) : isSpace(character);
  const all = Array.from(text);
  let [from, to] = [0, all.length];
  if (ends !== "right") { while (from < to && goes(all[from]!)) from++; }
  if (ends !== "left") { while (to > from && goes(all[to - 1]!)) to--; }
  return all.slice(from, to).join("");
}

/** Where Python ends a line. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const { index, 0: end } of text.matchAll(LINE_END)) {
    lines.push(text.slice(from, keepEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

/** Characters of a text, which are code points and not code units. */
export function lengthOf(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length - 1; at++) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xd800) length--;
  }
  return length;
}
