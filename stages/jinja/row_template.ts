import type { Body } from "./ast.ts";
import { withBudget } from "./budget.ts";
import { Evaluator } from "./evaluator.ts";
import { globalScope } from "./globals.ts";
import { Scope } from "./scope.ts";
import { parseTemplate } from "./statements.ts";
import { TemplateError } from "./template_error.ts";
import {
  iterate,
  Lazy,
  NumberRange,
  type TemplateValue,
  toValue,
  Tuple,
  Undefined,
} from "./values.ts";
import { strOf } from "./python_text.ts";

/**
 * A template over the fields of a row, as lm-eval sets Jinja up (`StrictUndefined`, no trimming,
 * `keep_trailing_newline`): what the row lacks is an error.
 */
export class RowTemplate {
  readonly #body: Body;

  /** Throws a `TemplateError` where the template cannot be read. */
  constructor(readonly source: string) {
    this.#body = parseTemplate(source, { verbatim: true });
  }

  /** The text for the fields of a row. */
  text(row: Readonly<Record<string, unknown>>): string {
    return withBudget((budget) =>
      new Evaluator(budget, { strict: true }).text(this.#body, scopeOf(row))
    );
  }

  /** The texts of a list, where the template is one expression that gives a list. */
  list(row: Readonly<Record<string, unknown>>): string[] {
    const [only, ...more] = this.#body;
    if (only?.kind !== "output" || more.length > 0) {
      throw new TemplateError(`"${this.source}" is no single expression`);
    }
    return withBudget((budget) => {
      const value = new Evaluator(budget, { strict: true }).value(only.value, scopeOf(row));
      return entries(value).map((each) => {
        if (typeof each === "string") return each;
        if (each instanceof Undefined) each.fail();
        throw new TemplateError(`an entry of the list is ${strOf(each)}, expected a text`);
      });
    });
  }
}

function entries(value: TemplateValue): TemplateValue[] {
  if (value instanceof Undefined) value.fail();
  const listed = Array.isArray(value) || value instanceof Tuple || value instanceof Lazy ||
    value instanceof NumberRange;
  if (listed) return [...iterate(value)];
  throw new TemplateError(`it gives ${strOf(value)}, expected a list`);
}

function scopeOf(row: Readonly<Record<string, unknown>>): Scope {
  const scope = new Scope(globalScope(() => new Date(0)));
  for (const [name, value] of Object.entries(row)) scope.set(name, toValue(value));
  return scope;
}
