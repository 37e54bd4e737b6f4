import { strip } from "../../jinja/characters.ts";

/** Texts from this length on have characters that come too often to be looked up. */
const LONG = 200;

/**
 * How alike the first line of code in an answer and the right one are: LongBench's `code_sim_score`
 * with fuzzywuzzy 0.18 on Python's own difflib, whole percents.
 */
export function codeSimilarity(answer: string, right: string): number {
  const line =
    answer.split("\n").find((line) => strip(line, null, "both") !== "" && !/`|#|\/\//.test(line)) ??
      "";
  if (line === right) return 1;
  if (line === "" || right === "") return 0;
  const percent = 100 * sequenceRatio(Array.from(line), Array.from(right));
  const down = Math.floor(percent);
  // Python's round goes to the even one of two.
  const rounded = percent - down === 0.5 ? down + down % 2 : Math.round(percent);
  return rounded / 100;
}

/** Twice the characters that match by those of both texts, as `difflib.SequenceMatcher.ratio` (Ratcliff and Metzener 1988). */
function sequenceRatio(first: readonly string[], second: readonly string[]): number {
  const places = Map.groupBy(second.keys(), (at) => second[at]!);
  if (second.length >= LONG) {
    const often = Math.floor(second.length / 100) + 1;
    for (const [character, found] of places) {
      if (found.length > often) places.delete(character);
    }
  }
  let matched = 0;
  const waiting = [{ from: 0, to: first.length, start: 0, end: second.length }];
  for (let part = waiting.pop(); part; part = waiting.pop()) {
    const { at, place, size } = longestMatch(first, second, { ...part, places });
    if (size === 0) continue;
    matched += size;
    const { from, to, start, end } = part;
    waiting.push({ from, to: at, start, end: place });
    waiting.push({ from: at + size, to, start: place + size, end });
  }
  return 2 * matched / (first.length + second.length);
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly start: number;
  readonly end: number;
  readonly places: ReadonlyMap<string, readonly number[]>;
}

/** The longest piece of both texts, the first of several, with what matches around it. */
function longestMatch(
  first: readonly string[],
  second: readonly string[],
  { from, to, start, end, places }: Range,
) {
  let [at, place, size] = [from, start, 0];
  let lengths = new Map<number, number>();
  for (let i = from; i < to; i++) {
    const next = new Map<number, number>();
    for (const j of places.get(first[i]!) ?? []) {
      if (j < start) continue;
      if (j >= end) break;
      const length = (lengths.get(j - 1) ?? 0) + 1;
      next.set(j, length);
      if (length > size) [at, place, size] = [i - length + 1, j - length + 1, length];
    }
    lengths = next;
  }
  while (at > from && place > start && first[at - 1] === second[place - 1]) {
    [at, place, size] = [at - 1, place - 1, size + 1];
  }
  while (at + size < to && place + size < end && first[at + size] === second[place + size]) size++;
  return { at, place, size };
}
