/** Data as manifests have it. */
export type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [key: string]: Value };

/** A step of a manifest to be written, with what is to be said above it. */
export interface DraftStep {
  readonly name: string;
  readonly stage: string;
  readonly from?: Readonly<Record<string, Value>>;
  readonly with?: Readonly<Record<string, Value | undefined>>;
  readonly comments: readonly string[];
}

/** A param of a manifest to be written, with what is to be said behind it. */
export interface DraftParam {
  readonly value: Value;
  readonly comment?: string;
}

/** The YAML of a manifest. */
export function draftText({ comments, params, steps }: {
  readonly comments: readonly string[];
  readonly params: Readonly<Record<string, DraftParam>>;
  readonly steps: readonly DraftStep[];
}): string {
  const lines = comments.map((text) => `# ${oneLine(text)}`);
  lines.push("params:");
  for (const [name, { value, comment }] of Object.entries(params)) {
    if (comment !== undefined) lines.push(`  # ${oneLine(comment)}`);
    lines.push(`  ${name}: ${flow(value)}`);
  }
  lines.push("steps:");
  for (const step of steps) {
    lines.push(...step.comments.map((text) => `  # ${oneLine(text)}`));
    lines.push(`  ${step.name}:`, `    stage: ${step.stage}`);
    if (step.from) lines.push(`    from: ${flow(step.from)}`);
    const given = Object.entries(step.with ?? {})
      .flatMap(([key, value]) => value === undefined ? [] : [[key, value] as const]);
    if (given.length > 0) lines.push("    with:");
    for (const [key, value] of given) lines.push(`      ${key}: ${flow(value)}`);
  }
  return `${lines.join("\n")}\n`;
}

function flow(value: Value): string {
  if (typeof value === "string") return scalar(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (isList(value)) return `[${value.map(flow).join(", ")}]`;
  const fields = Object.entries(value).map(([key, field]) => `${key}: ${flow(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** A text as YAML reads it back; JSON's quoting is YAML's too. */
function scalar(text: string): string {
  const plain = /^[A-Za-z_][\w./@+-]*(:[\w./@+-]+)*$/.test(text);
  return plain && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function oneLine(text: string): string {
  // Comments quote what files and paths say.
  // deno-lint-ignore no-control-regex -- control characters are what is taken out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
}
