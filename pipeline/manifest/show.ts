import type { Verify } from "../store/damage.ts";
import { plainText } from "../words.ts";
import { conditionText, type Expectation } from "./expectations.ts";
import type { OriginRow } from "./origin.ts";
import { escapeReferences } from "./references.ts";
import { type Data, parseScalar } from "./yaml_tree.ts";

/** Comments stand behind this column, or behind the line where that is longer. */
const COMMENTS = 48;

/** Steps as the YAML of a manifest in which everything is written out. */
export function manifestText(
  steps: readonly { readonly name: string; readonly rows: readonly OriginRow[] }[],
  { origins, verify, expect = [] }: {
    readonly origins: boolean;
    readonly verify?: Verify | undefined;
    readonly expect?: readonly Expectation[] | undefined;
  },
): string {
  const lines = steps.flatMap(({ name, rows }) => [
    `  ${scalarText(name)}:`,
    ...rows.flatMap((row, i) => rowLines(row, { before: rows[i - 1], origins })),
  ]);
  const expected = expect.map((one) =>
    `  ${scalarText(`${one.step}.${one.score}`)}: ${scalarText(conditionText(one))}\n`
  );
  const top = [
    ...verify === undefined ? [] : [`verify: ${verify}\n`],
    ...expected.length > 0 ? ["expect:\n", ...expected] : [],
  ].join("");
  return `${top}steps:\n${lines.map((line) => `${line}\n`).join("")}`;
}

/** A value and the names above it that the row before does not share. */
function rowLines(
  { path, value, origin }: OriginRow,
  { before, origins }: { readonly before: OriginRow | undefined; readonly origins: boolean },
): string[] {
  const shared = path.findIndex((name, i) => name !== before?.path[i]);
  return path.slice(shared).map((name, i) => {
    const depth = shared + i;
    const line = `${"  ".repeat(depth + 2)}${scalarText(name)}:`;
    if (depth < path.length - 1) return line;
    const whole = `${line} ${flowText(value)}`;
    return origins ? `${whole.padEnd(COMMENTS)} # ${plainText(origin)}` : whole;
  });
}

function flowText(value: Data): string {
  if (typeof value !== "object" || value === null) return scalarText(value);
  if (Array.isArray(value)) return `[${value.map((item: Data) => flowText(item)).join(", ")}]`;
  const fields = Object.entries(value)
    .map(([name, field]) => `${scalarText(name)}: ${flowText(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function scalarText(value: Data): string {
  if (typeof value !== "string") return JSON.stringify(value);
  const text = escapeReferences(value);
  const word = /^[A-Za-z_][\w./@+-]*(:[\w./@+-]+)*$/.test(text);
  // YAML has no longer words than these that mean anything else.
  const plain = word && (text.length > "false".length || parseScalar(text) === text);
  return plain ? text : JSON.stringify(text);
}
