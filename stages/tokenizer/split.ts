import { compilePattern, type Pattern } from "./pattern.ts";
import type { PatternField } from "./component.ts";

/** What becomes of the matches of a pattern at which text is split. */
export const SPLIT_BEHAVIORS = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
] as const;
/** See `SPLIT_BEHAVIORS`. */
export type SplitBehavior = typeof SPLIT_BEHAVIORS[number];

/** A stretch of text on its way to tokens. */
export interface Stretch {
  readonly text: string;
  /** Whether it begins where the whole text does: some put a space there alone. */
  readonly first: boolean;
}

/** A range of code units of a text, and whether it is one that the pattern matches. */
interface Range {
  start: number;
  end: number;
  readonly match: boolean;
}

/** Compiles the pattern of a part; a plain string stands for itself. */
export function readPattern(field: PatternField): Pattern {
  if ("Regex" in field) return compilePattern(field.Regex);
  return new RegExp(RegExp.escape(field.String), "gu");
}

/**
 * Splits a stretch at what a pattern matches, as `NormalizedString::split` of the Rust library does;
 * `invert` swaps what matches and what does not. Empty parts are left out.
 */
export function splitStretch(
  { text, first }: Stretch,
  pattern: Pattern,
  behavior: SplitBehavior,
  invert = false,
): Stretch[] {
  const parts: Stretch[] = [];
  for (const { start, end, match } of joined(rangesOf(text, pattern, invert), behavior)) {
    if (start === end || (match && behavior === "Removed")) continue;
    parts.push({ text: text.slice(start, end), first: first && start === 0 });
  }
  return parts;
}

function rangesOf(text: string, pattern: Pattern, invert: boolean): Range[] {
  const ranges: Range[] = [];
  let end = 0;
  for (const [from, to] of matchRanges(text, pattern)) {
    if (end < from) ranges.push({ start: end, end: from, match: invert });
    ranges.push({ start: from, end: to, match: !invert });
    end = to;
  }
  if (end < text.length) ranges.push({ start: end, end: text.length, match: invert });
  return ranges;
}

/** Where a pattern matches; an empty match directly behind another is none, as Oniguruma has it. */
export function* matchRanges(
  text: string,
  pattern: Pattern,
): Generator<readonly [start: number, end: number]> {
  let last = -1;
  pattern.lastIndex = 0;
  for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
    const start = found.index;
    const end = start + found[0].length;
    if (start === end && end === last) {
      pattern.lastIndex = end + (text.codePointAt(end)! > 0xffff ? 2 : 1);
      continue;
    }
    last = end;
    yield [start, end];
    pattern.lastIndex = end;
  }
}

function joined(ranges: Range[], behavior: SplitBehavior): Range[] {
  switch (behavior) {
    case "Removed":
    case "Isolated":
      return ranges;
    case "Contiguous":
      return merge(ranges, (match, before) => match === before);
    case "MergedWithPrevious":
      return merge(ranges, (match, before) => match && !before);
    case "MergedWithNext":
      return mergeBackwards(ranges);
  }
}

function merge(ranges: Range[], joins: (match: boolean, before: boolean) => boolean): Range[] {
  const parts: Range[] = [];
  let before = false;
  for (const range of ranges) {
    const last = parts.at(-1);
    if (last && joins(range.match, before)) last.end = range.end;
    else parts.push({ ...range, match: false });
    before = range.match;
  }
  return parts;
}

function mergeBackwards(ranges: Range[]): Range[] {
  const parts: Range[] = [];
  let before = false;
  for (const range of ranges.reverse()) {
    const last = parts.at(-1);
    if (last && range.match && !before) last.start = range.start;
    else parts.push({ ...range, match: false });
    before = range.match;
  }
  return parts.reverse();
}
