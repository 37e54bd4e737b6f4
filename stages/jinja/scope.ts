import type { TemplateValue } from "./values.ts";

/** Names and what they stand for, within those around it. */
export class Scope {
  readonly #names = new Map<string, TemplateValue>();

  constructor(private readonly around?: Scope) {}

  get(name: string): TemplateValue | undefined {
    const value = this.#names.get(name);
    return value === undefined ? this.around?.get(name) : value;
  }

  set(name: string, value: TemplateValue): void {
    this.#names.set(name, value);
  }
}
