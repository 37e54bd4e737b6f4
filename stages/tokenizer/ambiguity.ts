import { generate } from "oniguruma-parser/generator";
import type {
  AlternativeElementNode,
  AlternativeNode,
  OnigurumaAst,
  QuantifierNode,
} from "oniguruma-parser/parser";
import { toRegExp } from "oniguruma-to-es";
import { TOKENIZER_LIMITS } from "./limits.ts";

/** Copies of a part that repeats, most; how often beyond that decides nothing about ambiguity. */
const COPIES = 4;
/** Places in a loop, most; published tokenizers have below 20. */
const LARGEST_LOOP = 120;

/** A place in an expression where a character is taken. */
interface Place {
  readonly node: AlternativeElementNode;
  readonly flags: string;
  /** The places that may come next. */
  readonly next: Set<Place>;
}

/** A part of an expression: where it begins and ends. */
interface Part {
  readonly empty: boolean;
  readonly first: readonly Place[];
  readonly last: readonly Place[];
}

const NOTHING: Part = { empty: true, first: [], last: [] };

/**
 * Why matching an expression may take exponential time; undefined where it cannot.
 *
 * It can where a loop takes the same characters in two ways (exponential degree of ambiguity: Weber
 * and Seidl, On the degree of ambiguity of finite automata, 1991): two places of its position
 * automaton that are reached together from one place, and lead back to it together.
 */
export function ambiguityOf(expression: OnigurumaAst): string | undefined {
  const places: Place[] = [];
  let problem: string | undefined;
  const complain = (what: string) => {
    problem ??= what;
    return NOTHING;
  };

  const connect = (from: readonly Place[], to: readonly Place[], loop: boolean) => {
    for (const place of from) {
      for (const next of to) {
        if (loop && place.next.has(next)) complain("repeats what repeats already");
        place.next.add(next);
      }
    }
  };
  const inOrder = (parts: readonly Part[]): Part =>
    parts.reduce((before, part) => {
      connect(before.last, part.first, false);
      return {
        empty: before.empty && part.empty,
        first: before.empty ? [...before.first, ...part.first] : before.first,
        last: part.empty ? [...before.last, ...part.last] : part.last,
      };
    }, NOTHING);
  const oneOf = (parts: readonly Part[]): Part => ({
    empty: parts.some(({ empty }) => empty),
    first: parts.flatMap(({ first }) => first),
    last: parts.flatMap(({ last }) => last),
  });
  const alternatives = (body: readonly AlternativeNode[], flags: string): Part =>
    oneOf(body.map((each) => sequence(each.body, flags)));
  const sequence = (nodes: readonly AlternativeElementNode[], flags: string): Part => {
    let now = flags;
    return inOrder(nodes.map((node) => {
      if (node.type === "Directive" && node.kind === "flags") now = flagged(now, node.flags);
      return partOf(node, now);
    }));
  };
  const repeated = ({ min, max, body }: QuantifierNode, flags: string): Part => {
    const most = Math.max(min, max === Infinity ? 0 : max);
    if (most > TOKENIZER_LIMITS.repeats) return complain(`repeats a part ${most} times`);
    const copies = Math.min(COPIES, Math.max(1, max === Infinity ? min : max));
    const parts = Array.from({ length: copies }, (_, at): Part => {
      const part = partOf(body, flags);
      if (max === Infinity && at === copies - 1) connect(part.last, part.first, true);
      return at < min ? part : { ...part, empty: true };
    });
    return max === 0 ? NOTHING : inOrder(parts);
  };
  const partOf = (node: AlternativeElementNode, flags: string): Part => {
    switch (node.type) {
      case "Character":
      case "CharacterClass":
      case "CharacterSet": {
        const place: Place = { node, flags, next: new Set() };
        places.push(place);
        return { empty: false, first: [place], last: [place] };
      }
      case "Group":
        return alternatives(node.body, flagged(flags, node.flags));
      case "CapturingGroup":
        return alternatives(node.body, flags);
      case "Quantifier":
        return repeated(node, flags);
      case "LookaroundAssertion":
        // What it looks at is matched by itself.
        alternatives(node.body, flags);
        return NOTHING;
      case "Assertion":
      case "Directive":
        return NOTHING;
      default:
        return complain(`has ${node.type.toLowerCase()}s`);
    }
  };
  alternatives(expression.body, "");
  if (problem !== undefined) return problem;
  const samples = [...SAMPLES, ...literals(expression)];
  return loopsOf(places).map((loop) => ambiguous(loop, samples)).find((each) => each !== undefined);
}

function flagged(
  flags: string,
  change: { readonly enable?: object; readonly disable?: object } | undefined,
): string {
  const letters: Record<string, string> = { ignoreCase: "i", dotAll: "m", extended: "x" };
  const of = (set: object | undefined) => Object.keys(set ?? {}).map((name) => letters[name] ?? "");
  const now = new Set([...flags, ...of(change?.enable)]);
  for (const letter of of(change?.disable)) now.delete(letter);
  return [...now].join("");
}

/** Sets of two or more places that lead to each other. */
function loopsOf(places: readonly Place[]): Place[][] {
  const reached = new Map(places.map((place) => [place, reachable(place, (each) => each.next)]));
  const seen = new Set<Place>();
  return places.flatMap((place) => {
    if (seen.has(place)) return [];
    const loop = [...reached.get(place)!].filter((each) => reached.get(each)!.has(place));
    for (const each of loop) seen.add(each);
    return loop.length > 1 ? [loop] : [];
  });
}

/** Why a loop takes the same characters in two ways, if it does. */
function ambiguous(loop: readonly Place[], samples: readonly number[]): string | undefined {
  if (loop.length > LARGEST_LOOP) return `has a loop of ${loop.length} parts`;
  const number = new Map(loop.map((place, at) => [place, at]));
  const size = loop.length;
  const steps = loop.map(({ next }) => [...next].flatMap((each) => number.get(each) ?? []));
  const taken = loop.map((place) => takes(place, samples));
  const meet = taken.map((a) => taken.map((b) => !a.isDisjointFrom(b)));
  const after = (pair: number) =>
    steps[Math.floor(pair / size)]!.flatMap((a) =>
      steps[pair % size]!.filter((b) => meet[a]![b]).map((b) => a * size + b)
    );
  const back = new Map<number, number[]>();
  for (let pair = 0; pair < size * size; pair++) {
    for (const next of after(pair)) back.set(next, [...back.get(next) ?? [], pair]);
  }
  for (let at = 0; at < size; at++) {
    const both = at * size + at;
    const forth = reachable(both, after);
    const home = reachable(both, (pair) => back.get(pair) ?? []);
    const apart = forth.values().find((pair) =>
      Math.floor(pair / size) !== pair % size && home.has(pair)
    );
    if (apart !== undefined) return "can take the same text in two ways within a repetition";
  }
  return undefined;
}

/** What lies behind a start, itself only where a way leads back. */
function reachable<T>(start: T, next: (from: T) => Iterable<T>): Set<T> {
  const found = new Set<T>();
  const open = [start];
  for (let from = open.pop(); from !== undefined; from = open.pop()) {
    for (const to of next(from)) {
      if (found.has(to)) continue;
      found.add(to);
      open.push(to);
    }
  }
  return found;
}

/** Characters by which sets are compared: all short ones, a share of all others. */
const SAMPLES: readonly number[] = [
  ...Array.from({ length: 0x370 }, (_, code) => code),
  ...Array.from({ length: (0xd800 - 0x370) / 16 }, (_, at) => 0x370 + 16 * at + at % 16),
  ...Array.from({ length: 0x60 }, (_, at) => 0x2000 + at),
  ...Array.from({ length: 0x40 }, (_, at) => 0x3000 + at),
  ...Array.from({ length: 0x100 }, (_, at) => 0xf900 + 6 * at),
  ...Array.from({ length: 0x100 }, (_, at) => 0xff00 + at),
  ...Array.from({ length: 0x200 }, (_, at) => 0x10000 + 97 * at),
  ...[0x1680, 0xfeff, 0x1f600, 0x20000, 0xe0100],
];

/** The characters that an expression names. */
function literals(node: unknown): number[] {
  if (typeof node !== "object" || node === null) return [];
  const { type, value } = node as { readonly type?: string; readonly value?: unknown };
  if (type === "Character") return [value as number];
  return Object.entries(node).flatMap(([key, child]) => key === "parent" ? [] : literals(child));
}

/** Those of the sample characters that a place takes. */
function takes({ node, flags }: Place, samples: readonly number[]): Set<number> {
  const { pattern } = generate({
    type: "Regex",
    body: [{ type: "Alternative", body: [node] }],
    flags: { type: "Flags", ignoreCase: false, dotAll: false, extended: false } as never,
  });
  const test = toRegExp(`\\A(?${flags}:${pattern})\\z`);
  return new Set(samples.filter((code) => test.test(String.fromCodePoint(code))));
}
