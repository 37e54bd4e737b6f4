import { checkSize } from "./budget.ts";
import { TemplateError } from "./template_error.ts";
import { reprOf, strOf } from "./python_text.ts";
import { numberOf, type TemplateValue, Tuple, typeName } from "./values.ts";

/** Puts values into a text as Python's `%` does: texts, whole numbers, numbers with a point. */
export function formatted(format: string, values: TemplateValue): string {
  const list = values instanceof Tuple ? values.items : [values];
  let used = 0;
  const next = (): TemplateValue => {
    if (used < list.length) return list[used++]!;
    throw new TemplateError("not enough arguments for format string");
  };
  const text = format.replaceAll(
    /%(?:\((\w+)\))?([-0]*)(\d*)(?:\.(\d+))?(.?)/gs,
    (
      whole,
      key: string | undefined,
      flags: string,
      width: string,
      digits: string,
      kind: string,
    ) => {
      if (kind === "%") return "%";
      const named = key !== undefined && values instanceof Map ? values.get(key) : undefined;
      if (key !== undefined) used = list.length;
      const value = key === undefined ? next() : named;
      if (value === undefined) throw new TemplateError(`a format asks for ${key}`);
      const places = Number(width || 0);
      if (places > 1000) throw new TemplateError(`a format is ${places} wide`);
      const found = shown(kind, value, digits) ?? failing(whole);
      return flags.includes("-")
        ? found.padEnd(places)
        : found.padStart(places, flags.includes("0") && kind !== "s" ? "0" : " ");
    },
  );
  if (used < list.length && !(values instanceof Map)) {
    throw new TemplateError("not all arguments converted during string formatting");
  }
  checkSize(text.length);
  return text;
}

function shown(kind: string, value: TemplateValue, digits: string | undefined): string | undefined {
  if (kind === "s" && digits === undefined) return strOf(value);
  if (kind === "r" && digits === undefined) return reprOf(value);
  const number = numberOf(value);
  if (number === undefined) {
    if (!"dif".includes(kind)) return undefined;
    throw new TemplateError(`%${kind} format: a number is required, not ${typeName(value)}`);
  }
  if ((kind === "d" || kind === "i") && digits === undefined) {
    return String(typeof number === "bigint" ? number : BigInt(Math.trunc(number)));
  }
  return kind === "f" ? Number(number).toFixed(Math.min(100, Number(digits ?? 6))) : undefined;
}

function failing(format: string): never {
  throw new TemplateError(`the format ${format} is none of %s, %r, %d, %i, %f`);
}
