import type { KeyDocument } from "../artifact.ts";
import { canonicalJson } from "../store/key.ts";

/** Differences told in full; more are only counted. */
const TOLD = 3;

/** A value of a key document, and what it was in another one; undefined is not there. */
export interface Field {
  readonly part: keyof KeyDocument;
  /** Names that lead to it inside its part. */
  readonly fields: readonly string[];
  readonly before: unknown;
  readonly now: unknown;
}

/** The values of two key documents side by side; what only one of them has is one value. */
export function compareDocuments(before: KeyDocument, now: KeyDocument): Field[] {
  const parts = ["stage", "version", "params", "inputs", "fingerprint"] as const;
  return parts.flatMap((part) => [...walk(before[part], now[part], { part, fields: [] })]);
}

/** Whether a field is another one now. */
export function differs({ before, now }: Field): boolean {
  return canonicalJson({ value: before }) !== canonicalJson({ value: now });
}

/**
 * What changed between two key documents, in words with both values: `alpha 0.3 → 0.35`.
 *
 * `inputs` has words for inputs of which more is known than their digests.
 */
export function describeDifference(
  before: KeyDocument,
  after: KeyDocument,
  { inputs = {} }: { readonly inputs?: Readonly<Record<string, string>> } = {},
): string {
  const changes = compareDocuments(before, after).filter(differs).map((field) => {
    const known = field.part === "inputs" ? inputs[field.fields.join(".")] : undefined;
    return known ?? describeField(field, after.stage);
  });
  const told = changes.slice(0, TOLD).join("; ");
  return changes.length > TOLD ? `${told}; and ${changes.length - TOLD} more` : told;
}

/** One difference in words; `stage` is whose key document it is of. */
export function describeField({ part, fields, before, now }: Field, stage: string): string {
  const [input, ...rest] = fields;
  const words = part === "inputs"
    ? [`input "${input}"`, ...rest]
    : [heading(part, stage), fields.join(".")];
  const name = words.filter((word) => word !== "").join(" ");
  if (before === undefined) return `${name} added: ${shown(now)}`;
  if (now === undefined) return `${name} removed, was ${shown(before)}`;
  return `${name}${part === "inputs" ? " changed:" : ""} ${shown(before)} → ${shown(now)}`;
}

/** A value of a key document, shortened. */
export function shown(value: unknown): string {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return `${value.slice(0, 8)}…`;
  const text = canonicalJson(value);
  return text.length > 48 ? `${text.slice(0, 47)}…` : text;
}

function heading(part: keyof KeyDocument, stage: string): string {
  switch (part) {
    case "params":
      return "";
    case "version":
      return `version of ${stage}`;
    case "fingerprint":
      return "outside data";
    default:
      return part;
  }
}

function* walk(
  before: unknown,
  now: unknown,
  at: Pick<Field, "part" | "fields">,
): Generator<Field> {
  if (before === undefined && now === undefined) return;
  if (!isTree(before) || !isTree(now) || Array.isArray(before) !== Array.isArray(now)) {
    return yield { ...at, before, now };
  }
  for (const name of Object.keys({ ...before, ...now })) {
    yield* walk(before[name], now[name], { ...at, fields: [...at.fields, name] });
  }
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
