import type { KeyDocument } from "../../artifact.ts";
import type { Section } from "../../description.ts";
import { canonicalJson } from "../../store/key.ts";
import type { Makers } from "./makers.ts";

/** Letters of a digest that tell it from others. */
const SHORT = 12;

/** The first letters of a digest or a key. */
export function short(hex: string): string {
  return hex.slice(0, SHORT);
}

/** What a key document asks for, in a line: `quantize of model 0f3a… and stats 77b2…`. */
export function documentWords({ stage, inputs }: KeyDocument): string {
  const names = Object.entries(inputs).map(([input, digests]) =>
    typeof digests === "string" ? `${input} ${short(digests)}` : `${digests.length} ${input}`
  );
  return names.length === 0 ? stage : `${stage} of ${names.join(", ")}`;
}

/** A key document's stage and parameters, a fact each. */
export function documentSection({ stage, version, params, fingerprint }: KeyDocument): Section {
  return {
    title: "Recipe",
    facts: [
      ["stage", `${stage}, version ${version}`],
      ...fieldFacts(params, ""),
      ...fingerprint === undefined ? [] : fieldFacts(fingerprint, "outside data"),
    ],
  };
}

/** The inputs of a key document, with what made them. */
export function inputsSection({ inputs }: KeyDocument, makers: Makers | undefined): Section[] {
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
export function fieldFacts(value: unknown, name: string): (readonly [string, string])[] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .flatMap(([field, inner]) => fieldFacts(inner, name === "" ? field : `${name}.${field}`));
  }
  return [[name, typeof value === "string" ? value : canonicalJson(value)]];
}
