import type { Banks } from "./banks.ts";
import type { KernelModule } from "./module.ts";
import { FIRST_FUNCTION } from "./protocol.ts";

/** Functions that threads append to their tables: those of a module over some memories. */
export interface Functions {
  readonly module: WebAssembly.Module;
  readonly memories: Readonly<Record<string, WebAssembly.Memory>>;
  readonly names: readonly string[];
}

/**
 * The functions that all threads of an engine have, in the order of their tables. A function sees the
 * memories of its instance, so that each bank has kernels of its own, made when it runs the first.
 */
export class FunctionTable {
  /** Kernels of the first bank, which threads start with. */
  readonly first: Functions;
  readonly #kernels: KernelModule;
  readonly #banks: Banks;
  readonly #programs: ReadonlyMap<string, number>;
  /** Where the kernels of each bank begin. */
  readonly #places: (number | undefined)[] = [];
  /** By where from and where to. */
  readonly #copies = new Map<string, number>();
  #size = FIRST_FUNCTION;
  /** Called with functions that threads lack, before any command for them. */
  onMissing: (functions: Functions) => void = () => {};

  constructor(kernels: KernelModule, banks: Banks) {
    this.#kernels = kernels;
    this.#banks = banks;
    this.#programs = new Map(kernels.programs.map((name, at) => [name, at]));
    this.first = this.#kernelsOf(0);
    this.#places[0] = this.#append(this.first);
  }

  /** The place of a kernel over a bank. */
  kernel(name: string, bank: number): number {
    const at = this.#programs.get(name);
    if (at === undefined) {
      throw new TypeError(`Cannot launch ${name}: there is no such assembly`);
    }
    return (this.#places[bank] ??= this.#added(this.#kernelsOf(bank))) + at;
  }

  /** The place of what copies from a bank to another, or within one. */
  copy(from: number, to: number): number {
    const key = `${from} ${to}`;
    const found = this.#copies.get(key);
    if (found !== undefined) return found;
    const memories = { from: this.#banks.memory(from), to: this.#banks.memory(to) };
    const place = this.#added({ module: this.#kernels.copy, memories, names: ["copy"] });
    this.#copies.set(key, place);
    return place;
  }

  #kernelsOf(bank: number): Functions {
    const { module, programs } = this.#kernels;
    return { module, memories: { memory: this.#banks.memory(bank) }, names: programs };
  }

  #added(functions: Functions): number {
    const place = this.#append(functions);
    this.onMissing(functions);
    return place;
  }

  #append({ names }: Functions): number {
    const place = this.#size;
    this.#size += names.length;
    return place;
  }
}
