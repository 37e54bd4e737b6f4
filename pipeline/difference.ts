import type { Recipe } from "./artifact.ts";
import { canonicalJson } from "./key.ts";

/** Differences told in full; more are only counted. */
const TOLD = 3;

/** A value inside a key document: the part it belongs to, and the fields that lead to it. */
interface Place {
  readonly part: string;
  readonly fields: readonly string[];
}

/** What changed between two key documents, in words with both values: `alpha 0.3 → 0.35`. */
export function describeDifference(before: Recipe, after: Recipe): string {
  const changes = [
    ...compare(before.stage, after.stage, { part: "stage", fields: [] }),
    ...compare(before.version, after.version, { part: `version of ${after.stage}`, fields: [] }),
    ...compare(before.params, after.params, { part: "", fields: [] }),
    ...compareInputs(before.inputs, after.inputs),
    ...compare(before.fingerprint, after.fingerprint, { part: "outside data", fields: [] }),
  ];
  const told = changes.slice(0, TOLD).join("; ");
  return changes.length > TOLD ? `${told}; and ${changes.length - TOLD} more` : told;
}

function compareInputs(before: Recipe["inputs"], after: Recipe["inputs"]): string[] {
  return Object.keys({ ...before, ...after }).flatMap((name) =>
    compare(before[name], after[name], { part: `input ${name}`, fields: [] })
  );
}

function compare(before: unknown, after: unknown, { part, fields }: Place): string[] {
  if (before === undefined && after === undefined) return [];
  const name = [part, fields.join(".")].filter((word) => word !== "").join(" ");
  if (before === undefined) return [`${name} added: ${shown(after)}`];
  if (after === undefined) return [`${name} removed, was ${shown(before)}`];
  if (isTree(before) && isTree(after) && Array.isArray(before) === Array.isArray(after)) {
    return Object.keys({ ...before, ...after }).flatMap((field) =>
      compare(before[field], after[field], { part, fields: [...fields, field] })
    );
  }
  return before === after ? [] : [`${name} ${shown(before)} → ${shown(after)}`];
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function shown(value: unknown): string {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return `${value.slice(0, 8)}…`;
  const text = canonicalJson(value);
  return text.length > 48 ? `${text.slice(0, 47)}…` : text;
}
