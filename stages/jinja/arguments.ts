import { TemplateError } from "./template_error.ts";
import { type TemplateCall, type TemplateValue, typeName, Undefined } from "./values.ts";

/**
 * The values of a function's parameters in their order; a parameter with `?` behind it may be left
 * out. Throws for what is missing, too much or unknown.
 */
export function bind(
  name: string,
  { args, named }: TemplateCall,
  parameters: string,
): (TemplateValue | undefined)[] {
  const listed = parameters.split(" ").filter((each) => each !== "");
  const names = listed.map((each) => each.replace("?", ""));
  if (args.length > names.length) {
    throw new TemplateError(`${name}() takes ${names.length} arguments, got ${args.length}`);
  }
  const found: (TemplateValue | undefined)[] = [...args];
  for (const [key, value] of named) {
    const at = names.indexOf(key);
    if (at < 0) throw new TemplateError(`${name}() got an unexpected argument '${key}'`);
    if (at < args.length) throw new TemplateError(`${name}() got two values for '${key}'`);
    found[at] = value;
  }
  for (const [at, each] of listed.entries()) {
    if (found[at] === undefined && !each.endsWith("?")) {
      throw new TemplateError(`${name}() lacks the argument '${names[at]}'`);
    }
  }
  return found;
}

/** An argument that must be a text. */
export function textArgument(name: string, value: TemplateValue | undefined): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateError(`${name}() takes a text, got '${typeName(value ?? null)}'`);
}
