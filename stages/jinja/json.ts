import { checkSize } from "./budget.ts";
import { TemplateError } from "./template_error.ts";
import { floatText } from "./python_text.ts";
import { type TemplateValue, Tuple, typeName } from "./values.ts";

/** How JSON is written. */
export interface JsonLayout {
  /** What a level is set in by; one line without. */
  readonly indent?: string | undefined;
  readonly separators: readonly [item: string, key: string];
  readonly ascii: boolean;
  readonly sorted: boolean;
}

/** A value as Python's `json.dumps` writes it. */
export function jsonOf(value: TemplateValue, layout: JsonLayout, level = 0): string {
  if (value === null) return "null";
  if (typeof value === "string") return jsonText(value, layout.ascii);
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return jsonFloat(value);
  const inside = (key: TemplateValue) => jsonOf(key, layout, level + 1);
  if (Array.isArray(value) || value instanceof Tuple) {
    const items = Array.isArray(value) ? value : value.items;
    return enclosed(["[", "]"], items.map(inside), layout, level);
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, each]) => [keyText(key), each] as const);
    if (layout.sorted) entries.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
    const parts = entries.map(([key, each]) =>
      jsonText(key, layout.ascii) + layout.separators[1] + inside(each)
    );
    return enclosed(["{", "}"], parts, layout, level);
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function enclosed(
  [open, close]: readonly [string, string],
  parts: readonly string[],
  { indent, separators: [separator] }: JsonLayout,
  level: number,
): string {
  checkSize(parts.reduce((sum, { length }) => sum + length + separator.length, 0));
  if (parts.length === 0) return open + close;
  if (indent === undefined) return open + parts.join(separator) + close;
  const line = `\n${indent.repeat(level)}`;
  return `${open}${line}${indent}${parts.join(`${separator}${line}${indent}`)}${line}${close}`;
}

function keyText(key: TemplateValue): string {
  if (typeof key === "string") return key;
  if (typeof key === "number") return jsonFloat(key);
  return key === null ? "null" : String(key);
}

function jsonFloat(value: number): string {
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
}

function jsonText(text: string, ascii: boolean): string {
  const json = JSON.stringify(text);
  if (!ascii) return json;
  return json.replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
