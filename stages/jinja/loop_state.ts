import { bind } from "./arguments.ts";
import { equal } from "./operators.ts";
import { TemplateError } from "./template_error.ts";
import { Callable, type TemplateCall, type TemplateValue, Tuple, Undefined } from "./values.ts";

/** What a template knows of the loop that it is in. */
export class LoopState {
  #at = -1;
  #changed: TemplateValue | undefined;
  readonly value: Callable;

  constructor(
    private readonly items: readonly TemplateValue[],
    private readonly depth: number,
    again: ((value: TemplateValue) => TemplateValue) | undefined,
  ) {
    this.value = new Callable("loop", (call) => {
      if (!again) {
        throw new TemplateError(
          "the loop must have the 'recursive' marker to be called recursively",
        );
      }
      return again(bind("loop", call, "iterable")[0]!);
    }, (name) => this.#member(name));
  }

  next(): void {
    this.#at++;
  }

  #member(name: string): TemplateValue | undefined {
    const [at, count] = [this.#at, this.items.length];
    switch (name) {
      case "index":
        return BigInt(at + 1);
      case "index0":
        return BigInt(at);
      case "revindex":
        return BigInt(count - at);
      case "revindex0":
        return BigInt(count - at - 1);
      case "first":
        return at === 0;
      case "last":
        return at === count - 1;
      case "length":
        return BigInt(count);
      case "depth":
        return BigInt(this.depth + 1);
      case "depth0":
        return BigInt(this.depth);
      case "previtem":
        return this.items[at - 1] ?? new Undefined("there is no previous item");
      case "nextitem":
        return this.items[at + 1] ?? new Undefined("there is no next item");
      case "cycle":
        return new Callable("method cycle", ({ args }) => {
          if (args.length === 0) throw new TemplateError("no items for cycling given");
          return args[at % args.length]!;
        });
      case "changed":
        return new Callable("method changed", (call) => this.#differs(call));
    }
    return undefined;
  }

  #differs({ args }: TemplateCall): boolean {
    const now = new Tuple(args);
    const differs = this.#changed === undefined || !equal(this.#changed, now);
    this.#changed = now;
    return differs;
  }
}
