import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { Device } from "../../kernels/device/device.ts";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { PooledDevice } from "../../kernels/device/pooled_device.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import type { AnyStage, Journal } from "../../pipeline/stage.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { layerFile } from "../../stages/calibration/stats.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { writeCheckpointTexts } from "../../stages/formats/checkpoint.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import {
  type NamedValues,
  openSafetensors,
  writeSafetensors,
} from "../../stages/formats/safetensors/file.ts";
import { architectureOf } from "../../stages/models/architecture.ts";
import { Model } from "../../stages/models/model.ts";
import type { Projection } from "../../stages/models/site.ts";
import { forgetful } from "./journal_stub.ts";
import { logitsOf } from "./forward_pass.ts";

const FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));

/** The models of `testdata/families`. */
export const FAMILIES = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();

/** The places of a family's layers that `smooth` can scale: those that something with an output of its own feeds. */
export async function smoothable(family: string): Promise<Projection[]> {
  const json = JSON.parse(await Deno.readTextFile(`${FOLDER}/${family}/config.json`));
  return architectureOf(json).layers[0]!.sites
    .filter(({ fedBy }) => fedBy.kind !== "stream").map(({ projection }) => projection);
}

/** Inputs by name, as stages take them. */
type Inputs = Readonly<Record<string, Artifact | readonly Artifact[] | undefined>>;

/** Changes the values of a tensor in place. */
export type EditValues = (name: string, values: Float32Array<ArrayBuffer>) => void;

/** What a stage works with, where a test wants it otherwise. */
export interface ChainJob {
  readonly memoryBytes?: number;
  readonly signal?: AbortSignal;
  readonly journal?: Journal;
  progress?(done: number, total: number): void;
}

/**
 * Runs stages one after another on a device, without store and runner: what most tests of stages
 * begin with.
 *
 *     await using chain = await StageChain.open();
 *     const model = chain.family("qwen2_tied");
 *     const turned = await chain.run(rotate, { model }, { seed: 1 });
 *     const logits = await chain.logits(turned);
 *
 * `family()`, `embedded()`, `edited()` and `tokens()` give inputs; `run()` gives an artifact and
 * `refuses()` asserts a refusal; all directories go with the chain.
 */
export class StageChain implements AsyncDisposable {
  /** What stages said. */
  readonly notes: string[] = [];
  readonly #device: Device;
  readonly #directory: string;
  #count = 0;

  private constructor(device: Device, directory: string) {
    this.#device = device;
    this.#directory = directory;
  }

  /** Opens a chain on the machine's adapter, or on a device, which then ends with the chain. */
  static async open(device?: Device): Promise<StageChain> {
    return new StageChain(device ?? await Cpu.open(), await Deno.makeTempDir());
  }

  /** A model of `testdata/families`. */
  family(name: string): Artifact<"model"> {
    return modelIn(`${FOLDER}/${name}`, name);
  }

  /** The model that ships with the program. */
  embedded(): Artifact<"model"> {
    return modelIn(EMBEDDED, "embedded");
  }

  /** A model in full precision like another, with some values changed. */
  async edited(model: Artifact, edit: EditValues): Promise<Artifact<"model">> {
    const out = await this.directory();
    using checkpoint = await openCheckpoint(model.path);
    const tensors = [...checkpoint.tensors.values()];
    const specifications = tensors.map(({ name, shape }) =>
      ({ name, dtype: "F32", shape }) as const
    );
    using writer = await createCheckpointWriter(out, specifications);
    for (const { name } of tensors) {
      const values = await checkpoint.read(name);
      edit(name, values);
      await writer.write(name, bytesOf(values));
    }
    await writer.close();
    await writeCheckpointTexts(checkpoint, out);
    return modelIn(out, `content of ${out}`);
  }

  /** Stats like others, with some values changed. */
  async editedStats(stats: Artifact, layers: number, edit: EditValues): Promise<Artifact> {
    const out = await this.directory();
    await Deno.copyFile(`${stats.path}/stats.json`, `${out}/stats.json`);
    for (let layer = 0; layer < layers; layer++) {
      using file = await openSafetensors(`${stats.path}/${layerFile(layer)}`);
      const tensors = new Map<string, NamedValues>();
      for (const [name, { shape }] of file.tensors) {
        const values = await file.read(name) as Float32Array<ArrayBuffer>;
        edit(name, values);
        tensors.set(name, { shape, values });
      }
      await writeSafetensors(`${out}/${layerFile(layer)}`, tensors);
    }
    return { ...stats, key: out, digest: `content of ${out}`, path: out };
  }

  /** A text of ids below 96, the vocabulary of the families. */
  async tokens(count: number): Promise<Artifact<"tokens">> {
    const path = await this.directory();
    const ids = Uint32Array.from({ length: count }, (_, i) => (i * i * 7 + i * 13 + 5) % 96);
    await Deno.writeFile(`${path}/tokens.u32`, bytesOf(ids));
    return { kind: "tokens", key: path, digest: `tokens in ${path}`, path, scores: {} };
  }

  /** Runs one stage with parameters as a manifest has them. */
  async run(
    stage: AnyStage,
    inputs: Inputs,
    params: unknown = {},
    given: ChainJob = {},
  ): Promise<Artifact> {
    const out = await this.directory();
    await this.#work(stage, { inputs, params, out, given });
    const kind = stage.output;
    return { kind, key: out, digest: `content of ${out}`, path: out, scores: {} };
  }

  /** Asserts that a stage refuses its work in a sentence like this; gives the files it has left. */
  async refuses(
    stage: AnyStage,
    { inputs, params = {}, message }: {
      readonly inputs: Inputs;
      readonly params?: unknown;
      readonly message: RegExp;
    },
  ): Promise<string[]> {
    const out = await this.directory();
    await assert.rejects(
      () => this.#work(stage, { inputs, params, out, given: {} }),
      (error: Error) => {
        assert.match(error.message, /^Cannot [^\n]*[,:] expected [^\n]*$/);
        assert.match(error.message, message);
        return true;
      },
    );
    return [...Deno.readDirSync(out)].map(({ name }) => name).sort();
  }

  /** Statistics of a model on 64 tokens. */
  async calibrate(model: Artifact, params: object = {}, given: ChainJob = {}): Promise<Artifact> {
    const tokens = await this.tokens(64);
    const few = { windows: 2, context: 32, rows: 24, attention_windows: 2, gram: false };
    return await this.run(calibrate, { model, tokens }, { ...few, ...params }, given);
  }

  /** Logits of a short text. */
  async logits({ path }: Artifact): Promise<Float32Array> {
    using model = await Model.open(path, this.#device, { weightBytes: Infinity });
    return await logitsOf(this.#device, model, [1, 5, 17, 80, 33, 2, 64, 91, 9, 41, 12, 70, 3]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#device[Symbol.asyncDispose]();
    } finally {
      await Deno.remove(this.#directory, { recursive: true });
    }
  }

  /** An empty directory, which goes with the chain. */
  directory(): Promise<string> {
    const path = `${this.#directory}/${this.#count++}`;
    Deno.mkdirSync(path);
    return Promise.resolve(path);
  }

  async #work(
    stage: AnyStage,
    { inputs, params, out, given }: {
      readonly inputs: Inputs;
      readonly params: unknown;
      readonly out: string;
      readonly given: ChainJob;
    },
  ): Promise<void> {
    const job = {
      tools: {
        device: () => {
          // Without what was freed before, as the program's own.
          if (this.#device instanceof PooledDevice) this.#device.trim();
          return Promise.resolve(this.#device);
        },
        memoryBytes: given.memoryBytes ?? 2 ** 28,
      },
      out,
      signal: given.signal ?? new AbortController().signal,
      journal: given.journal ?? forgetful,
      progress: (done: number, total: number) => given.progress?.(done, total),
      note: (text: string) => void this.notes.push(text),
    };
    await stage.run(job, inputs, stage.params.parse(params));
  }
}

function modelIn(path: string, name: string): Artifact<"model"> {
  return { kind: "model", key: name, digest: `content of ${name}`, path, scores: {} };
}
