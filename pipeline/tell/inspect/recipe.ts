import type { Recipe } from "../../artifact.ts";
import type { Section } from "../../description.ts";
import { canonicalJson } from "../../store/key.ts";
import type { Makers } from "./makers.ts";

/** Letters of a digest that tell it from others. */
const SHORT = 12;

/** The first letters of a digest or a key. */
export function short(hex: string): string {
  return hex.slice(0, SHORT);
}

/** What a recipe does, in a line: `quantize of model 0f3a… and stats 77b2…`. */
export function recipeWords({ stage, inputs }: Recipe): string {
  const names = Object.entries(inputs).map(([input, digests]) =>
    typeof digests === "string" ? `${input} ${short(digests)}` : `${digests.length} ${input}`
  );
  return names.length === 0 ? stage : `${stage} of ${names.join(", ")}`;
}

/** A recipe's stage and parameters, a fact each. */
export function recipeSection({ stage, version, params, fingerprint }: Recipe): Section {
  return {
    title: "Recipe",
    facts: [
      ["stage", `${stage}, version ${version}`],
      ...factsOf(params, ""),
      ...fingerprint === undefined ? [] : factsOf(fingerprint, "outside data"),
    ],
  };
}

/** The inputs of a recipe, with what made them. */
export function inputsSection({ inputs }: Recipe, makers: Makers | undefined): Section[] {
  const rows = Object.entries(inputs).flatMap(([input, digests]) =>
    [digests].flat().map((digest) => {
      const found = makers?.of(digest) ?? [];
      const steps = found.flatMap(({ steps }) => steps);
      const keys = found.map(({ key, stage }) => `${short(key)} (${stage})`);
      return [
        input,
        short(digest),
        keys.join(", ") || "not in this store",
        [...new Set(steps)].join(", "),
      ];
    })
  );
  if (rows.length === 0) return [];
  const columns = ["input", "digest", "artifact", "step"].map((heading) => ({ heading }));
  return [{ title: "Inputs", table: { columns, rows } }];
}

/** Fields with their values; what lies in mappings is named with dots. */
export function factsOf(value: unknown, name: string): (readonly [string, string])[] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .flatMap(([field, inner]) => factsOf(inner, name === "" ? field : `${name}.${field}`));
  }
  return [[name, typeof value === "string" ? value : canonicalJson(value)]];
}
