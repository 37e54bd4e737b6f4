import type { Manifest } from "./manifest.ts";
import { suggestion } from "./nearest.ts";
import { withAncestors, withDescendants } from "./needs.ts";

/**
 * Which steps of a manifest to look at, in patterns of their names.
 *
 * A step is selected if every part that is given selects it.
 */
export interface Selection {
  /** These and all that need them. */
  readonly from?: readonly string[] | undefined;
  /** These and all that they need. */
  readonly until?: readonly string[] | undefined;
  /** Exactly these. */
  readonly only?: readonly string[] | undefined;
}

/** The steps a selection names, in the order of the manifest; throws a RangeError if there are none. */
export function selectSteps(
  { path, steps }: Manifest,
  { from, until, only }: Selection,
): ReadonlySet<string> {
  const names = steps.map(({ name }) => name);
  const all: ReadonlySet<string> = new Set(names);
  const matched = (patterns: readonly string[]) => matchSteps(patterns, { names, verb: "select" });
  const parts = [
    from ? withDescendants(steps, matched(from)) : all,
    until ? withAncestors(steps, matched(until)) : all,
    only ? matched(only) : all,
  ];
  const selected = names.filter((name) => parts.every((part) => part.has(name)));
  if (selected.length > 0) return new Set(selected);
  const asked = Object.entries({ from, until, only })
    .flatMap(([part, patterns]) => patterns ? [`--${part} ${patterns.join(",")}`] : []);
  throw new RangeError(
    `Cannot run a part of ${path}: no step is in all of ${asked.join(" and ")}`,
  );
}

/**
 * The names that some of the patterns match; each must match one, else a RangeError is thrown.
 *
 * `*` stands for any letters and `?` for one. A name before a bracket stands for all its variants:
 * `smoothed` for `smoothed[alpha=0.3]` too.
 */
export function matchSteps(
  patterns: readonly string[],
  { names, verb }: { readonly names: readonly string[]; readonly verb: string },
): ReadonlySet<string> {
  const found = patterns.flatMap((pattern) => {
    const expression = expressionOf(pattern);
    const matching = names.filter((name) => expression.test(name));
    if (matching.length > 0) return matching;
    throw new RangeError(`Cannot ${verb} step "${pattern}": ${suggestion(pattern, names)}`);
  });
  return new Set(found);
}

/** Patterns with commas between them; those inside brackets belong to a name. */
export function splitPatterns(text: string): readonly string[] {
  return text.split(/,(?![^[\]]*\])/).map((pattern) => pattern.trim());
}

function expressionOf(pattern: string): RegExp {
  const text = pattern.replaceAll(/[\\^$.|+(){}[\]]/g, "\\$&")
    .replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${text}${pattern.includes("[") ? "" : "(\\[.*\\])?"}$`);
}
