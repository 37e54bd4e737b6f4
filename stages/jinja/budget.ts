import { TemplateError } from "./template_error.ts";

/** What rendering a template may take: chats of a million characters stay far below. */
export const TEMPLATE_LIMITS = {
  /** Expressions, statements and turns of loops. */
  steps: 2 ** 21,
  /** Characters of the result and of any text on the way. */
  length: 2 ** 24,
  /** Entries of a list. */
  entries: 2 ** 20,
  /** Calls within calls. */
  depth: 200,
  /** Numbers of a range, as Jinja's sandbox has it. */
  range: 100_000,
  /** Bits of a whole number. */
  bits: 2 ** 14,
} as const;

/** Counts what a template takes while it is rendered. */
export class Budget {
  #steps = 0;
  #length = 0;
  #depth = 0;

  step(): void {
    if (++this.#steps <= TEMPLATE_LIMITS.steps) return;
    throw new TemplateError(`it takes more than ${TEMPLATE_LIMITS.steps} steps`);
  }

  /** Counts text that is written. */
  write(text: string): void {
    this.#length += text.length;
    checkSize(this.#length);
  }

  /** Runs what is called, within what called it. */
  call<T>(run: () => T): T {
    if (++this.#depth > TEMPLATE_LIMITS.depth) {
      throw new TemplateError(`its calls are nested more than ${TEMPLATE_LIMITS.depth} deep`);
    }
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }
}

/** What the template at work may still take; templates are rendered one at a time, at one go. */
let current = new Budget();

/** Renders a template, which may take as much as any. */
export function withBudget<T>(render: (budget: Budget) => T): T {
  return render(current = new Budget());
}

/** Counts a step of the template at work. */
export function spend(): void {
  current.step();
}

/** Refuses a text before it is made. */
export function checkSize(length: number): void {
  if (length <= TEMPLATE_LIMITS.length) return;
  throw new TemplateError(
    `it makes a text of ${length} characters, expected at most ${TEMPLATE_LIMITS.length}`,
  );
}

/** Refuses a list before it is made. */
export function checkEntries(count: number): void {
  if (count <= TEMPLATE_LIMITS.entries) return;
  throw new TemplateError(
    `it makes a list of ${count} entries, expected at most ${TEMPLATE_LIMITS.entries}`,
  );
}
