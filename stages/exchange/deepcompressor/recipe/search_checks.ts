import type { Projection } from "../../../models/site.ts";
import type { Value } from "./manifest_text.ts";
import { type Notes, refuse } from "./notes.ts";
import type { Search } from "./read_methods.ts";

/** The linears that recipes name. */
export const PROJECTIONS: readonly Projection[] = ["qkv_proj", "out_proj", "up_proj", "down_proj"];

/** Parameters of a step by name; those that are undefined are not written. */
export type With = Readonly<Record<string, Value | undefined>>;

/** Refuses a search that compares otherwise than by squared errors of outputs. */
export function checkSearch(search: Search, notes: Notes): void {
  checkDegree(search, notes);
  if (search.objective === "OutputsError") return;
  refuse(search, notes, {
    key: "objective",
    is: `the search compares by ${search.objective}`,
    expected: "OutputsError",
  });
}

/** Refuses errors that are not squared. */
export function checkDegree(search: Search, notes: Notes): void {
  if (search.degree === 2) return;
  refuse(search, notes, {
    key: "degree",
    is: `errors are raised to ${search.degree}`,
    expected: "2, squared errors",
  });
}

/** Warns of names that are not among those there are. */
export function checkAmong(
  section: Search["section"],
  notes: Notes,
  { key, found, known }: {
    readonly key: string;
    readonly found: readonly string[];
    readonly known: readonly string[];
  },
): void {
  for (const name of found.filter((name) => !known.includes(name))) {
    notes.warn(
      section.placeOf(key),
      `Cannot use "${name}" in ${section.path}.${key}: expected some of ${
        known.join(", ")
      }; it is left out`,
    );
  }
}

/** The word here for one of DeepCompressor's; refuses others. */
export function pick(
  known: Readonly<Record<string, string>>,
  name: string,
  { section, key, notes }: {
    readonly section: Search["section"];
    readonly key: string;
    readonly notes: Notes;
  },
): string {
  if (Object.hasOwn(known, name)) return known[name]!;
  refuse({ section }, notes, {
    key,
    is: `it is ${name}`,
    expected: `one of ${Object.keys(known).join(", ")}`,
  });
  return "";
}
