import type { GgufHeader, GgufValue } from "./header.ts";

/** Where a file keeps what `provenance.json` of an export says, for it may leave its directory. */
export const PROVENANCE_KEY = "quattuor.provenance";

/** Typed access to the metadata of a GGUF file; a value of another type is an error naming both. */
export interface GgufMetadata {
  readonly path: string;
  has(key: string): boolean;
  number(key: string): number | undefined;
  boolean(key: string): boolean | undefined;
  text(key: string): string | undefined;
  numbers(key: string): readonly number[] | undefined;
  texts(key: string): readonly string[] | undefined;
}

/** Wraps the metadata of a GGUF file for typed access. */
export function ggufMetadata(
  { metadata }: Pick<GgufHeader, "metadata">,
  path: string,
): GgufMetadata {
  const typed = <T extends GgufValue>(wanted: string, is: (value: GgufValue) => value is T) =>
  (
    key: string,
  ): T | undefined => {
    const value = metadata.get(key);
    if (value === undefined || is(value)) return value;
    throw new TypeError(
      `Cannot read the metadata "${key}" of "${path}": it is ${
        describe(value)
      }, expected ${wanted}`,
    );
  };
  return {
    path,
    has: (key) => metadata.has(key),
    number: typed("a number", (value) => typeof value === "number"),
    boolean: typed("a boolean", (value) => typeof value === "boolean"),
    text: typed("a string", (value) => typeof value === "string"),
    numbers: typed("a list of numbers", isNumbers),
    texts: typed("a list of strings", isTexts),
  };
}

function isNumbers(value: GgufValue): value is readonly number[] {
  return Array.isArray(value) && value.every((each) => typeof each === "number");
}

function isTexts(value: GgufValue): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function describe(value: GgufValue): string {
  return Array.isArray(value) ? `a list of ${value.length}` : `the ${typeof value} ${value}`;
}
