import type { Body } from "./ast.ts";
import { Budget } from "./budget.ts";
import { Evaluator } from "./evaluator.ts";
import { globalScope } from "./globals.ts";
import { Scope } from "./scope.ts";
import { parseTemplate } from "./statements.ts";
import { TemplateError } from "./template_error.ts";
import { toValue } from "./values.ts";

/** Characters of a template; the longest published ones have 20,000. */
const LONGEST = 2 ** 20;

/**
 * A chat template: Jinja 3 as transformers sets it up (`ImmutableSandboxedEnvironment`, `trim_blocks`,
 * `lstrip_blocks`, loop controls, `{% generation %}`), with Python's values and within limits.
 */
export class ChatTemplate {
  readonly #body: Body;

  /** Throws a `TemplateError` where the template cannot be read, or asks for what there is not. */
  constructor(source: string) {
    if (source.length > LONGEST) {
      throw new TemplateError(`it has ${source.length} characters, expected at most ${LONGEST}`);
    }
    this.#body = parseTemplate(source);
  }

  /** The text for these variables; throws a `TemplateError` where the template does. */
  render(
    variables: Readonly<Record<string, unknown>>,
    now: () => Date = () => new Date(),
  ): string {
    const scope = new Scope(globalScope(now));
    for (const [name, value] of Object.entries(variables)) scope.set(name, toValue(value));
    return new Evaluator(new Budget()).text(this.#body, scope);
  }
}
