import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { bytesOf } from "../formats/half.ts";
import { ByteFile } from "../formats/byte_file.ts";

/** Inputs of the head, f32 [windows, context, hidden], in a report that keeps them. */
const HIDDEN_FILE = "hidden.f32";

/** Writes the inputs of the head, windows in any order. */
export class HiddenWriter implements Disposable {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Starts the file of a report that is written in `directory`. */
  static async create(directory: string): Promise<HiddenWriter> {
    return new HiddenWriter(
      await Deno.open(`${directory}/${HIDDEN_FILE}`, { write: true, createNew: true }),
    );
  }

  /** Writes a window's, f32 [context, hidden]. */
  async write(window: number, hidden: Float32Array): Promise<void> {
    const bytes = bytesOf(hidden);
    await this.#file.seek(window * bytes.length, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** Reads the inputs of the head back, a window at a time. */
export class HiddenReader implements Disposable {
  readonly #file: ByteFile;
  readonly #shape: readonly [context: number, hidden: number];

  private constructor(file: ByteFile, shape: readonly [number, number]) {
    this.#file = file;
    this.#shape = shape;
  }

  /** Opens the file of a report; throws a `RangeError` where its size is not that of all windows. */
  static open(
    directory: string,
    { windows, context, hidden }: {
      readonly windows: number;
      readonly context: number;
      readonly hidden: number;
    },
  ): HiddenReader {
    const file = ByteFile.open(`${directory}/${HIDDEN_FILE}`);
    const size = 4 * windows * context * hidden;
    if (file.size === size) return new HiddenReader(file, [context, hidden]);
    file[Symbol.dispose]();
    throw new RangeError(
      `Cannot read "${file.path}": it has ${file.size} bytes, expected ${size} for ${windows} windows of [${context}, ${hidden}]`,
    );
  }

  /** Uploads a window's, f32 [context, hidden]. */
  async window(device: Device, window: number): Promise<Tensor> {
    const [context, hidden] = this.#shape;
    const size = 4 * context * hidden;
    const bytes = await this.#file.read(window * size, (window + 1) * size);
    return device.upload(f32(this.#shape, new Float32Array(bytes.buffer)), "baseline");
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
