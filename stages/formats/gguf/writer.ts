import { writeAll } from "../file_bytes.ts";
import { ggmlBytes, ggmlTypeNumber } from "./ggml_types.ts";
import { encodeGguf, type GgufEntries, ggufPadded } from "./encoding.ts";

/** What a GGUF file holds under one name: axes outermost first, the type as ggml names it. */
export interface GgufSpecification {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: string;
}

/**
 * Writes one GGUF file, tensor by tensor in the announced order.
 *
 * The bytes of a tensor come in one or more consecutive pieces. `close()` ends the file; disposing
 * without it leaves a file that ends early, which every reader refuses.
 */
export class GgufWriter implements Disposable {
  readonly path: string;
  readonly #file: Deno.FsFile;
  readonly #tensors: readonly (GgufSpecification & { readonly bytes: number })[];
  #at = 0;
  #written = 0;
  #open = true;

  private constructor(
    path: string,
    file: Deno.FsFile,
    tensors: readonly (GgufSpecification & { readonly bytes: number })[],
  ) {
    this.path = path;
    this.#file = file;
    this.#tensors = tensors;
  }

  /** Creates the file and writes metadata and tensor list; an older file is replaced. */
  static async create(
    path: string,
    { metadata, tensors }: {
      readonly metadata: GgufEntries;
      readonly tensors: readonly GgufSpecification[];
    },
  ): Promise<GgufWriter> {
    if (new Set(tensors.map(({ name }) => name)).size !== tensors.length) {
      throw new TypeError(`Cannot write "${path}": a tensor name comes twice, expected each once`);
    }
    const sized = tensors.map((each) => ({ ...each, bytes: ggmlBytes(each.type, each.shape) }));
    const outlines = sized.map((each) => ({ ...each, type: ggmlTypeNumber(each.type) }));
    const { header } = encodeGguf({ metadata, tensors: outlines });
    const file = Deno.openSync(path, { write: true, create: true, truncate: true });
    const writer = new GgufWriter(path, file, sized);
    try {
      await writer.#append(header);
      return writer;
    } catch (error) {
      writer[Symbol.dispose]();
      throw error;
    }
  }

  /** Appends bytes to a tensor: the one being written or, where that is complete, the next. */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    await this.#turn();
    const tensor = this.#tensors[this.#at];
    if (tensor?.name !== name) {
      throw new TypeError(
        `Cannot write tensor "${name}" to "${this.path}": it is not its turn, expected ${
          tensor ? `"${tensor.name}"` : "none"
        }`,
      );
    }
    if (this.#written + bytes.length > tensor.bytes) {
      throw new RangeError(
        `Cannot write tensor "${name}" to "${this.path}": ${this.#written + bytes.length} bytes, ` +
          `expected ${tensor.bytes}`,
      );
    }
    this.#written += bytes.length;
    await this.#append(bytes);
  }

  /** Ends the file; throws where a tensor is incomplete. */
  async close(): Promise<void> {
    await this.#turn();
    const tensor = this.#tensors[this.#at];
    this[Symbol.dispose]();
    if (tensor === undefined) return;
    throw new RangeError(
      `Cannot close "${this.path}": tensor "${tensor.name}" has ${this.#written} bytes, expected ` +
        `${tensor.bytes}`,
    );
  }

  [Symbol.dispose](): void {
    if (this.#open) this.#file.close();
    this.#open = false;
  }

  /** Goes on behind a complete tensor. */
  async #turn(): Promise<void> {
    const bytes = this.#tensors[this.#at]?.bytes;
    if (this.#written !== bytes) return;
    await this.#append(new Uint8Array(ggufPadded(bytes) - bytes));
    this.#at++;
    this.#written = 0;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await writeAll(this.#file, bytes);
  }
}
