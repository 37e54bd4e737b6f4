import { TemplateError } from "./template_error.ts";

/** What rendering a template may take: chats of a million characters stay far below. */
export const TEMPLATE_LIMITS = {
  /** Expressions, statements and turns of loops. */
  steps: 2 ** 22,
  /** Characters of the result and of any text on the way, and entries of any list. */
  length: 2 ** 24,
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

/** Refuses a text or list before it is made. */
export function checkSize(length: number): void {
  if (length <= TEMPLATE_LIMITS.length) return;
  throw new TemplateError(
    `it makes a text or list of ${length} entries, expected at most ${TEMPLATE_LIMITS.length}`,
  );
}
