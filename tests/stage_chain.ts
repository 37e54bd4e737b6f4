import { fileURLToPath } from "node:url";
import { bytesOf } from "../stages/formats/half.ts";
import { Gpu } from "../kernels/device/gpu.ts";
import type { Artifact } from "../pipeline/artifact.ts";
import type { AnyStage } from "../pipeline/stage.ts";
import { calibrate } from "../stages/calibrate.ts";
import { Model } from "../stages/models/model.ts";
import { logitsOf } from "./forward.ts";

const FOLDER = fileURLToPath(new URL("testdata/families", import.meta.url));

/** The models of `testdata/families`. */
export const FAMILIES = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();

/** Inputs by name, as stages take them. */
type Inputs = Readonly<Record<string, Artifact | readonly Artifact[] | undefined>>;

/** Runs stages one after another on a device, without store and runner. */
export class StageChain implements AsyncDisposable {
  /** What stages said. */
  readonly notes: string[] = [];
  readonly #device: Gpu;
  readonly #directory: string;
  #count = 0;

  private constructor(device: Gpu, directory: string) {
    this.#device = device;
    this.#directory = directory;
  }

  static async open(): Promise<StageChain> {
    return new StageChain(await Gpu.open(), await Deno.makeTempDir());
  }

  /** A model of `testdata/families`. */
  family(name: string): Artifact<"model"> {
    return {
      kind: "model",
      key: name,
      digest: `content of ${name}`,
      path: `${FOLDER}/${name}`,
      scores: {},
    };
  }

  /** A text of ids below 96, the vocabulary of the families. */
  async tokens(count: number): Promise<Artifact<"tokens">> {
    const path = await this.directory();
    const ids = Uint32Array.from({ length: count }, (_, i) => (i * i * 7 + i * 13 + 5) % 96);
    await Deno.writeFile(`${path}/tokens.u32`, bytesOf(ids));
    return { kind: "tokens", key: path, digest: `tokens in ${path}`, path, scores: {} };
  }

  /** Runs one stage with parameters as a manifest has them. */
  async run(stage: AnyStage, inputs: Inputs, params: unknown = {}): Promise<Artifact> {
    const out = await this.directory();
    const job = {
      tools: { device: () => Promise.resolve(this.#device), memoryBytes: 2 ** 28 },
      out,
      signal: new AbortController().signal,
      progress() {},
      note: (text: string) => void this.notes.push(text),
    };
    await stage.run(job, inputs, stage.params.parse(params));
    const kind = stage.output;
    return { kind, key: out, digest: `content of ${out}`, path: out, scores: {} };
  }

  /** Statistics of a model on 64 tokens. */
  async calibrate(model: Artifact, params: object = {}): Promise<Artifact> {
    const tokens = await this.tokens(64);
    const few = { windows: 2, context: 32, rows: 24, attention_windows: 2, gram: false };
    return await this.run(calibrate, { model, tokens }, { ...few, ...params });
  }

  /** Logits of a short text. */
  async logits({ path }: Artifact): Promise<Float32Array> {
    using model = await Model.open(path, this.#device, { weightBytes: Infinity });
    return await logitsOf(this.#device, model, [1, 5, 17, 80, 33, 2, 64, 91, 9, 41, 12, 70, 3]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#device[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }

  /** An empty directory, which goes with the chain. */
  async directory(): Promise<string> {
    const path = `${this.#directory}/${this.#count++}`;
    await Deno.mkdir(path);
    return path;
  }
}
