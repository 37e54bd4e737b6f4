/** Where something was written. */
export interface RecipePlace {
  readonly source: string;
  readonly mark?: { readonly line: number; readonly col: number };
}

/** A value of a recipe that is no list and no mapping. */
export type RecipeScalar = string | number | boolean | null;

/** A part of a recipe and where it was written; the same as the runner's YAML trees. */
export type RecipeNode =
  | {
    readonly type: "map";
    readonly place: RecipePlace;
    readonly entries: ReadonlyMap<
      string,
      { readonly place: RecipePlace; readonly value: RecipeNode }
    >;
  }
  | { readonly type: "list"; readonly place: RecipePlace; readonly items: readonly RecipeNode[] }
  | { readonly type: "scalar"; readonly place: RecipePlace; readonly value: RecipeScalar };

/** The last part of a name with dots: how DeepCompressor reads its enumerations and types. */
export function lastPart(name: string): string {
  return name.split(".").at(-1)!;
}

/** What was found on the way; each text is a sentence. */
export interface Findings {
  /** Takes what makes the recipe impossible to follow. */
  refuse(place: RecipePlace, text: string): void;
  /** Takes what is left out or probably a mistake. */
  warn(place: RecipePlace, text: string): void;
}

/** A mapping of a recipe whose keys are read one by one. */
export interface RecipeSection {
  readonly place: RecipePlace;
  /** The keys that lead here, such as `"quant.wgts"`. */
  readonly path: string;
  has(key: string): boolean;
  /** Where a key was written; where the section was, if it was not. */
  placeOf(key: string): RecipePlace;
  section(key: string): RecipeSection;
  text(key: string, fallback: string): string;
  optionalText(key: string): string | undefined;
  number(key: string, fallback: number): number;
  flag(key: string, fallback: boolean): boolean;
  texts(key: string): readonly (string | undefined)[];
  /** A list of lists; the items of an inner list as they are written. */
  rows(key: string): readonly (readonly RecipeScalar[])[];
  /** Takes keys as known that nobody reads. */
  known(...keys: readonly string[]): void;
  /** Warns of every key here and below that nobody asked for. */
  warnOfRest(): void;
}

/** Opens a mapping of a recipe; where there is none, every key has its default. */
export function openSection(
  node: RecipeNode | undefined,
  { path, place, findings }: {
    readonly path: string;
    readonly place: RecipePlace;
    readonly findings: Findings;
  },
): RecipeSection {
  const asked = new Set<string>();
  const below: RecipeSection[] = [];
  const entries = node?.type === "map" ? node.entries : undefined;
  const here = node?.place ?? place;
  const nameOf = (key: string) => path === "" ? key : `${path}.${key}`;
  if (node !== undefined && !entries && !isNull(node)) {
    findings.refuse(here, `Cannot read ${path || "the recipe"}: it is no mapping, expected one`);
  }
  const valueOf = (key: string): RecipeNode | undefined => {
    asked.add(key);
    const value = entries?.get(key)?.value;
    return value === undefined || isNull(value) ? undefined : value;
  };
  const placeOf = (key: string) => entries?.get(key)?.place ?? here;
  const expected = (key: string, what: string) =>
    findings.refuse(placeOf(key), `Cannot read ${nameOf(key)}: expected ${what}`);
  const optionalText = (key: string) => {
    const value = valueOf(key);
    if (value === undefined) return undefined;
    if (value.type === "scalar") return String(value.value);
    expected(key, "a text");
    return undefined;
  };
  const items = (key: string): readonly RecipeNode[] => {
    const value = valueOf(key);
    if (value === undefined) return [];
    if (value.type === "list") return value.items;
    expected(key, "a list");
    return [];
  };
  const scalarsOf = (key: string, nodes: readonly RecipeNode[]): RecipeScalar[] =>
    nodes.map((item) => {
      if (item.type === "scalar") return item.value;
      expected(key, "no list or mapping in it");
      return null;
    });

  return {
    place: here,
    path,
    has: (key) => valueOf(key) !== undefined,
    placeOf,
    section(key) {
      const found = openSection(valueOf(key), {
        path: nameOf(key),
        place: placeOf(key),
        findings,
      });
      below.push(found);
      return found;
    },
    text: (key, fallback) => optionalText(key) ?? fallback,
    optionalText,
    number(key, fallback) {
      const value = valueOf(key);
      if (value === undefined) return fallback;
      const number = value.type === "scalar" ? toNumber(value.value) : undefined;
      if (number === undefined) expected(key, "a number");
      return number ?? fallback;
    },
    flag(key, fallback) {
      const value = valueOf(key);
      if (value === undefined) return fallback;
      const word = value.type === "scalar" ? String(value.value).toLowerCase() : "";
      if (word !== "true" && word !== "false") expected(key, "true or false");
      return word === "true";
    },
    texts: (key) =>
      scalarsOf(key, items(key)).map((value) => value === null ? undefined : String(value)),
    rows: (key) =>
      items(key).map((item) => {
        if (item.type === "list") return scalarsOf(key, item.items);
        expected(key, "a list of lists");
        return [];
      }),
    known: (...keys) => keys.forEach((key) => asked.add(key)),
    warnOfRest() {
      for (const [key, { place }] of entries ?? []) {
        if (asked.has(key)) continue;
        findings.warn(
          place,
          `Cannot use "${
            nameOf(key)
          }": DeepCompressor has no such key, expected one of its own; it is left out`,
        );
      }
      for (const section of below) section.warnOfRest();
    },
  };
}

function isNull(node: RecipeNode): boolean {
  return node.type === "scalar" && node.value === null;
}

/** YAML 1.2 reads what YAML 1.1 takes for numbers, such as `1e-2`, but not all of it. */
function toNumber(value: RecipeScalar): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}
