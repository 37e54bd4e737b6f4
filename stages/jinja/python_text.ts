import { checkSize } from "./budget.ts";
import {
  Callable,
  Lazy,
  Namespace,
  NumberRange,
  type TemplateValue,
  Tuple,
  Undefined,
  View,
} from "./values.ts";

/** A value as Python's `str` writes it. */
export function strOf(value: TemplateValue): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) return "";
  return reprOf(value);
}

/** A value as Python's `repr` writes it. */
export function reprOf(value: TemplateValue): string {
  if (value === null) return "None";
  if (typeof value === "string") return quoted(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return floatText(value);
  if (Array.isArray(value)) return `[${list(value)}]`;
  if (value instanceof Tuple) {
    return `(${list(value.items)}${value.items.length === 1 ? "," : ""})`;
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, each]) => `${reprOf(key)}: ${reprOf(each)}`);
    return `{${sized(entries)}}`;
  }
  if (value instanceof View) return `${value.name}([${list(value.items)}])`;
  if (value instanceof NumberRange) {
    const { start, stop, step } = value;
    return `range(${start}, ${stop}${step === 1n ? "" : `, ${step}`})`;
  }
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Namespace) {
    return `<Namespace {${
      sized([...value.members].map(([name, each]) => `${quoted(name)}: ${reprOf(each)}`))
    }}>`;
  }
  if (value instanceof Lazy) return `<${value.name} object>`;
  return value instanceof Callable ? `<${value.name}>` : "";
}

function list(items: readonly TemplateValue[]): string {
  return sized(items.map(reprOf));
}

function sized(parts: readonly string[]): string {
  checkSize(parts.reduce((sum, { length }) => sum + length + 2, 0));
  return parts.join(", ");
}

/** A number with a point as Python writes it: the shortest digits that mean it. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power < 16) {
    const plain = Math.abs(power) < 7 ? String(value) : fixed(value, power);
    return plain.includes(".") ? plain : `${plain}.0`;
  }
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

function fixed(value: number, power: number): string {
  const digits = value.toExponential().replace(/e.*/, "").replace(/[-.]/g, "").length;
  return value.toFixed(Math.max(0, digits - 1 - power));
}

const NAMED: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function quoted(text: string): string {
  checkSize(text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replaceAll(/[\\'"\n\r\t]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === "'" || character === '"') {
      return character === quote ? `\\${character}` : character;
    }
    const named = NAMED[character];
    if (named !== undefined) return named;
    const hex = character.codePointAt(0)!.toString(16);
    if (hex.length <= 2) return `\\x${hex.padStart(2, "0")}`;
    return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
  return quote + inner + quote;
}
