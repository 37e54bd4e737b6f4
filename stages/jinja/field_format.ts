import { checkSize } from "./budget.ts";
import { TemplateError } from "./template_error.ts";
import { reprOf, strOf } from "./python_text.ts";
import { type TemplateCall, type TemplateValue, Undefined } from "./values.ts";

/**
 * `str.format` for fields that are numbered, named or neither, with members; how a value is set out
 * is refused.
 */
export function formatFields(
  text: string,
  { args, named }: TemplateCall,
  follow: (value: TemplateValue, member: string | undefined, key: string) => TemplateValue,
): string {
  let next = 0;
  const formatted = text.replaceAll(
    /\{\{|\}\}|\{([^{}!:]*)(![rs])?(:[^{}]*)?\}|[{}]/g,
    (whole, field: string | undefined, kind: string | undefined, layout: string | undefined) => {
      if (whole === "{{" || whole === "}}") return whole[0]!;
      if (field === undefined) throw new TemplateError("a format has a single brace");
      if (layout !== undefined && layout !== ":") {
        throw new TemplateError(
          `the format ${whole} says how a value is set out, expected {} alone`,
        );
      }
      const [, name, path] = /^([^.[]*)(.*)$/s.exec(field)!;
      const first = name === ""
        ? args[next++]
        : /^\d+$/.test(name!)
        ? args[Number(name)]
        : named.get(name!);
      if (first === undefined) throw new TemplateError(`a format asks for ${name || "a value"}`);
      const value = followed(first, path!, follow);
      return kind === "!r" ? reprOf(value) : strOf(value);
    },
  );
  checkSize(formatted.length);
  return formatted;
}

function followed(
  first: TemplateValue,
  path: string,
  follow: (value: TemplateValue, member: string | undefined, key: string) => TemplateValue,
): TemplateValue {
  let value = first;
  for (const [, member, key = ""] of path.matchAll(/\.(\w+)|\[([^\]]*)\]/g)) {
    value = follow(value, member, key);
    if (value instanceof Undefined) value.fail();
  }
  return value;
}
