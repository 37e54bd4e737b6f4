import { strict as assert } from "node:assert";
import type { Device } from "../../kernels/device/device.ts";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { FileJournal } from "../../pipeline/store/journal.ts";
import type { AnyStage } from "../../pipeline/stage.ts";
import { calibrate } from "../../stages/calibrate.ts";
import { calibrate_kv } from "../../stages/calibrate_kv.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { writeCheckpointTexts } from "../../stages/formats/checkpoint.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { learn_rotation } from "../../stages/learn_rotation.ts";
import { quantize } from "../../stages/quantize.ts";
import { reorder } from "../../stages/reorder.ts";
import { smooth } from "../../stages/smooth.ts";
import { normals } from "../support/random.ts";
import { type ChainJob, StageChain } from "../support/stage_chain.ts";

/** Enough that streams of one layer take the place of those two layers before. */
const LAYERS = 4;
/** Entries at which the disk is full in turn, evenly over all where there are more. */
const MOST_TRIALS = 8;
const [KEY, OTHER_KEY] = ["a".repeat(64), "b".repeat(64)];
const FULL = new Error("No space left on device (os error 28)");
const STOP = new Error("the user asked to stop");

/** A device that counts launches: what was not launched was not computed. */
interface Counted {
  readonly device: Device;
  launches(): number;
}

/** What stages work on. */
interface Bench {
  readonly chain: StageChain;
  readonly model: Artifact<"model">;
  readonly counted: Counted;
}

/** One stage at work. */
interface Work {
  readonly stage: AnyStage;
  readonly inputs: Readonly<Record<string, Artifact>>;
  readonly params?: object;
  readonly memoryBytes?: number;
}

/** A stage that goes on where it was. */
interface Case {
  readonly name: string;
  /** How entries of finished parts begin. */
  readonly part: "layer" | "window";
  readonly on?: () => Promise<Device> | Device;
  work(bench: Bench): Promise<Work>;
}

const GROUPS = { weights: { group: 8 } };
const FEW = { windows: 3, context: 16 };

const CASES: readonly Case[] = [
  {
    name: "calibrate",
    part: "layer",
    work: async ({ chain, model }) => await watching(chain, model),
  },
  {
    name: "calibrate on references",
    part: "layer",
    on: () => new ReferenceDevice(),
    work: async ({ chain, model }) => await watching(chain, model),
  },
  {
    name: "calibrate with streams on disk",
    part: "layer",
    work: async ({ chain, model }) => ({ ...await watching(chain, model), memoryBytes: 1 }),
  },
  {
    name: "smooth",
    part: "layer",
    async work({ chain, model }) {
      const stats = await chain.calibrate(model);
      const grid = { strategy: "grid", grids: 2 };
      const projections = { ...grid, ...GROUPS, sites: ["qkv_proj", "out_proj", "down_proj"] };
      const params = { projections, attention: grid };
      return { stage: smooth, inputs: { model, stats }, params };
    },
  },
  {
    name: "reorder",
    part: "layer",
    async work({ chain, model }) {
      const stats = await chain.calibrate(model);
      const params = { sites: ["down_proj", "residual"], strategy: "grid", ...GROUPS };
      return { stage: reorder, inputs: { model, stats }, params };
    },
  },
  {
    name: "quantize",
    part: "layer",
    async work({ chain, model }) {
      const stats = await chain.calibrate(model, { gram: true });
      return { stage: quantize, inputs: { model, stats }, params: GROUPS };
    },
  },
  {
    name: "quantize with inputs of quantized layers",
    part: "layer",
    work: async ({ chain, model }) => await quantizing(chain, model),
  },
  {
    name: "quantize with inputs of quantized layers and streams on disk",
    part: "layer",
    work: async ({ chain, model }) => ({ ...await quantizing(chain, model), memoryBytes: 1 }),
  },
  {
    name: "quantize with shifted weights",
    part: "layer",
    work: async ({ chain, model }) => await quantizing(chain, model, { shift: {} }),
  },
  {
    name: "calibrate_kv",
    part: "layer",
    async work({ chain, model }) {
      const stats = await chain.calibrate(model);
      const params = { group: 8, clips: [1, 0.9], fallback: { bytes_per_token: 200 } };
      return { stage: calibrate_kv, inputs: { model, stats }, params };
    },
  },
  {
    name: "evaluate",
    part: "window",
    work: async ({ chain, model }) => await scoring(chain, model),
  },
];

async function watching(chain: StageChain, model: Artifact): Promise<Work> {
  const params = { ...FEW, rows: 24, attention_windows: 2 };
  return { stage: calibrate, inputs: { model, tokens: await chain.tokens(64) }, params };
}

async function quantizing(chain: StageChain, model: Artifact, more = {}): Promise<Work> {
  const weights = { group: 8, levels: 2 };
  const params = { ...FEW, weights, inputs: "quantized", activations: "dynamic", ...more };
  return { stage: quantize, inputs: { model, tokens: await chain.tokens(64) }, params };
}

async function scoring(chain: StageChain, model: Artifact): Promise<Work> {
  const tokens = await chain.tokens(64);
  const params = { context: 16, keep_hidden: true };
  const baseline = await chain.run(evaluate, { model, tokens }, params);
  const edited = await chain.edited(model, (name, values) => {
    if (name.includes("down_proj")) values.forEach((value, i) => values[i] = 0.9 * value);
  });
  const inputs = { model: edited, tokens, baseline, baseline_model: model };
  return { stage: evaluate, inputs, params };
}

for (const one of CASES) {
  Deno.test(`${one.name} goes on at the ${one.part} it reached, and its bytes are the same`, (t) =>
    withBench(one, async (bench, work) => {
      const alone = await Trial.begin(bench, work);
      const expected = await alone.finish();
      const parts = alone.written.filter((name) => name.startsWith(`${one.part}-`));
      assert.ok(parts.length >= LAYERS);
      const done = await Trial.from(alone);
      assert.deepEqual(await done.finish(), expected);
      // What a run takes that has nothing left to do.
      const idle = done.launches;
      const before = (part: number) => part === 0 ? 0 : alone.launchesAt(parts[part - 1]!);
      const rest = (part: number) =>
        part === 0 ? alone.launches : alone.launches - before(part) + idle;

      await t.step("when it is stopped after each of them", async () => {
        const trial = await Trial.begin(bench, work);
        for (const [part, name] of parts.entries()) {
          await trial.stopAfter(name);
          assert.deepEqual(trial.written.filter((each) => parts.includes(each)), [name]);
          const own = alone.launchesAt(name) - before(part) + (part === 0 ? 0 : idle);
          assert.equal(trial.launches, own, `${name} and nothing else is computed`);
        }
        assert.deepEqual(await trial.finish(), expected);
      });

      await t.step("when the disk is full at each entry", async () => {
        const step = Math.ceil(alone.written.length / MOST_TRIALS);
        for (const [at, name] of alone.written.entries()) {
          if (at % step > 0) continue;
          const trial = await Trial.begin(bench, work);
          await assert.rejects(() => trial.fail(at), FULL);
          assert.deepEqual(await trial.finish(), expected, name);
          const finished = alone.written.slice(0, at).filter((each) => parts.includes(each));
          const most = rest(finished.length);
          assert.ok(trial.launches <= most, `${name}: ${trial.launches} launches of ${most}`);
        }
      });

      await t.step("when entries are damaged, cut short or of another recipe", async () => {
        for (const name of new Set(alone.written)) {
          const trial = await Trial.from(alone);
          await trial.change(name, (bytes) => {
            bytes[bytes.length - 1]! ^= 1;
            return bytes;
          });
          assert.deepEqual(await trial.finish(), expected, name);
          assert.ok(!parts.includes(name) || trial.written.includes(name));
        }
        const short = await Trial.from(alone);
        for (const name of new Set(alone.written)) {
          await short.change(name, (bytes) => bytes.subarray(0, bytes.length / 2));
        }
        assert.deepEqual(await short.finish(), expected);
        assert.equal(short.launches, alone.launches);
        const foreign = await Trial.from(alone, OTHER_KEY);
        assert.deepEqual(await foreign.finish(), expected);
        assert.equal(foreign.launches, alone.launches);
      });

      if (!alone.written.some((name) => name.startsWith("streams-"))) return;
      await t.step("when the streams it would go on from are damaged", async () => {
        const stopped = await Trial.begin(bench, work);
        await stopped.stopAfter(parts[2]!);
        const whole = await Trial.from(stopped);
        assert.deepEqual(await whole.finish(), expected);
        for (const slot of ["streams-0-0", "streams-1-0"]) {
          const trial = await Trial.from(stopped);
          await trial.change(slot, (bytes) => {
            bytes[bytes.length - 1]! ^= 1;
            return bytes;
          });
          assert.deepEqual(await trial.finish(), expected, slot);
          // Layers that are finished are walked through again, and nothing is sought in them.
          assert.deepEqual(trial.written.filter((name) => parts.includes(name)), parts.slice(3));
          const needed = slot === "streams-1-0";
          assert.equal(trial.launches > whole.launches, needed, slot);
          assert.ok(trial.launches <= alone.launches);
        }
      });
    }));
}

Deno.test("evaluate goes on at the layer of its group of windows where layers do not stay on the device", () =>
  withBench({}, async (bench) => {
    // Two windows' streams are a quarter of what these bytes allow.
    const memoryBytes = 4 * 2 * (2 * 4 * 16 * 64);
    const work = { ...await scoring(bench.chain, bench.model), memoryBytes };
    const alone = await Trial.begin(bench, work);
    const expected = await alone.finish();
    const windows = (names: readonly string[]) => names.filter((name) => name.startsWith("window"));
    assert.deepEqual(windows(alone.written), [0, 1, 2, 3].map((window) => `window-${window}`));
    const layers = alone.written.filter((name) => name.startsWith("streams-"));
    const sets = ["streams-1-0", "streams-0-0", "streams-1-0"];
    assert.deepEqual(layers, [...sets, ...sets], "both groups, behind each layer but the last");
    for (const [stop, name] of layers.entries()) {
      const trial = await Trial.begin(bench, work);
      const times = layers.slice(0, stop + 1).filter((each) => each === name).length;
      await trial.stopAfter(name, times);
      const before = trial.launches;
      assert.deepEqual(await trial.finish(), expected, `stop ${stop}`);
      // A window in the layer at work is all that comes twice.
      assert.ok(before + trial.launches < 1.1 * alone.launches, `stop ${stop}`);
    }
    const trial = await Trial.begin(bench, work);
    await trial.stopAfter("window-0");
    assert.deepEqual(await trial.finish(), expected);
    assert.deepEqual(windows(trial.written), ["window-1", "window-2", "window-3"]);
    // In another order, in groups of other windows, and from damaged streams.
    for (const damaged of [[], ["streams-1-0"], ["streams-0-0", "streams-1-0"]]) {
      const torn = await Trial.from(alone);
      for (const name of ["window-0", "window-2", "window-3", ...damaged]) {
        await torn.change(name, () => new Uint8Array());
      }
      assert.deepEqual(await torn.finish(), expected);
      assert.deepEqual(windows(torn.written).sort(), ["window-0", "window-2", "window-3"]);
    }
  }));

Deno.test("learn_rotation goes on at the step it reached, and its bytes are the same", () =>
  withBench({}, async (bench) => {
    const { chain, model } = bench;
    const params = { steps: 4, batch: 2, context: 24, seed: 3 };
    const inputs = { model, tokens: await chain.tokens(96) };
    for (const memoryBytes of [2 ** 28, 1]) {
      const work = { stage: learn_rotation, inputs, params, memoryBytes };
      const alone = await Trial.begin(bench, work);
      const expected = await alone.finish();
      const states = ["state-0", "state-1", "state-0", "state-1"];
      assert.deepEqual(alone.written, states);
      const trial = await Trial.begin(bench, work);
      let launches = 0;
      for (const name of states) {
        await trial.stopAfter(name);
        assert.deepEqual(trial.written, [name], "a step and nothing else is done");
        launches += trial.launches;
      }
      assert.deepEqual(await trial.finish(), expected);
      assert.deepEqual(trial.written, []);
      assert.ok(launches + trial.launches < 1.1 * alone.launches);
      // From the state before where the last one is damaged, anew where both are.
      for (
        const [damaged, left] of [[["state-1"], 1], [["state-0", "state-1"], 4], [
          ["state-0"],
          0,
        ]] as const
      ) {
        const torn = await Trial.from(alone);
        for (const name of damaged) {
          await torn.change(name, (bytes) => {
            bytes[bytes.length - 1]! ^= 1;
            return bytes;
          });
        }
        assert.deepEqual(await torn.finish(), expected);
        assert.equal(torn.written.length, left, damaged.join());
      }
    }
  }));

/** Runs of a stage with one journal. */
class Trial {
  /** Entries that the last run wrote. */
  written: string[] = [];
  /** Launches of the last run. */
  launches = 0;
  readonly #bench: Bench;
  readonly #work: Work;
  readonly #directory: string;
  readonly #key: string;
  #at = new Map<string, number>();

  private constructor(bench: Bench, work: Work, place: { directory: string; key: string }) {
    this.#bench = bench;
    this.#work = work;
    this.#directory = place.directory;
    this.#key = place.key;
  }

  /** With nothing kept. */
  static async begin(bench: Bench, work: Work): Promise<Trial> {
    return new Trial(bench, work, { directory: await bench.chain.directory(), key: KEY });
  }

  /** With what another has kept. */
  static async from(other: Trial, key = KEY): Promise<Trial> {
    const directory = await other.#bench.chain.directory();
    for (const { name } of Deno.readDirSync(other.#directory)) {
      await Deno.copyFile(`${other.#directory}/${name}`, `${directory}/${name}`);
    }
    return new Trial(other.#bench, other.#work, { directory, key });
  }

  /** Launches of the last run until it wrote an entry. */
  launchesAt(name: string): number {
    return this.#at.get(name)!;
  }

  /** Runs to the end; gives the artifact's files with their digests. */
  async finish(): Promise<string[]> {
    const { path } = await this.#run(() => {});
    const files = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
    return await Promise.all(files.map(async (name) => {
      const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(`${path}/${name}`));
      return `${name} ${new Uint8Array(digest).toHex()}`;
    }));
  }

  /** Stops when an entry has been written; a stage with nothing left to compute may finish. */
  async stopAfter(name: string, times = 1): Promise<void> {
    const stop = new AbortController();
    let left = times;
    const after = (written: string) => {
      if (written === name && --left === 0) stop.abort(STOP);
    };
    await this.#run(() => {}, { after, signal: stop.signal }).catch((error) => {
      if (error !== STOP) throw error;
    });
  }

  /** Has no room for the entry that would be written after `count` others. */
  async fail(count: number): Promise<void> {
    await this.#run(() => {
      if (this.written.length === count) throw FULL;
    });
  }

  /** Changes an entry's file. */
  async change(name: string, edit: (bytes: Uint8Array) => Uint8Array): Promise<void> {
    const path = `${this.#directory}/${name}`;
    await Deno.writeFile(path, edit(await Deno.readFile(path)));
  }

  async #run(
    before: (name: string) => void,
    { after = () => {}, signal }: {
      readonly after?: (name: string) => void;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<Artifact> {
    const { chain, counted } = this.#bench;
    const { stage, inputs, params = {}, memoryBytes } = this.#work;
    const start = counted.launches();
    this.written = [];
    this.#at = new Map();
    await using journal = new WatchedJournal(this.#directory, this.#key, {
      before,
      after: (name) => {
        this.written.push(name);
        this.#at.set(name, counted.launches() - start);
        after(name);
      },
    });
    const given: ChainJob = {
      journal,
      ...memoryBytes !== undefined && { memoryBytes },
      ...signal && { signal },
    };
    try {
      return await chain.run(stage, inputs, params, given);
    } finally {
      this.launches = counted.launches() - start;
    }
  }
}

/** A journal that tells before and after it writes. */
class WatchedJournal extends FileJournal {
  readonly #tell: { before(name: string): void; after(name: string): void };

  constructor(
    directory: string,
    key: string,
    tell: { before(name: string): void; after(name: string): void },
  ) {
    super(directory, key);
    this.#tell = tell;
  }

  override async write(name: string, bytes: Uint8Array): Promise<void> {
    this.#tell.before(name);
    await super.write(name, bytes);
    this.#tell.after(name);
  }
}

async function withBench(
  { on, work }: Partial<Pick<Case, "on" | "work">>,
  use: (bench: Bench, work: Work) => Promise<void>,
): Promise<void> {
  const counted = counting(await (on?.() ?? Cpu.open()));
  await using chain = await StageChain.open(counted.device);
  const bench = { chain, model: await deepModel(chain), counted };
  await use(bench, await work?.(bench)!);
}

function counting(device: Device): Counted {
  let count = 0;
  return {
    launches: () => count,
    device: {
      limits: device.limits,
      name: device.name,
      upload: (host, label) => device.upload(host, label),
      empty: (spec, label) => device.empty(spec, label),
      write: (tensor, host) => device.write(tensor, host),
      record: (make) => device.record(make),
      run(kernel, inputs, options) {
        count++;
        return device.run(kernel, inputs, options);
      },
      read: (tensor) => device.read(tensor),
      [Symbol.asyncDispose]: () => device[Symbol.asyncDispose](),
    },
  };
}

/** A small model with more layers than those of `testdata/families`. */
async function deepModel(chain: StageChain): Promise<Artifact<"model">> {
  const small = chain.family("llama_llama3_gqa_tied");
  const out = await chain.directory();
  using source = await openCheckpoint(small.path);
  const deep = [...source.tensors.values()].flatMap(({ name, shape }) => {
    const copies = name.startsWith("model.layers.0.") ? LAYERS : 1;
    if (name.startsWith("model.layers.1.")) return [];
    return Array.from({ length: copies }, (_, layer) => ({
      name: name.replace("layers.0.", `layers.${layer}.`),
      from: name,
      dtype: "F32" as const,
      shape,
    }));
  });
  const order = deep.sort((a, b) => a.name < b.name ? -1 : 1);
  using writer = await createCheckpointWriter(out, order);
  for (const { name, from } of order) {
    // Layers differ, so that codes of one are not those of another.
    const noise = normals(name);
    const values = (await source.read(from)).map((value) => value + 0.02 * noise.next().value);
    await writer.write(name, bytesOf(values));
  }
  await writer.close();
  const config = { ...source.config as object, num_hidden_layers: LAYERS };
  await writeCheckpointTexts({ ...source, config }, out);
  return { ...small, key: out, digest: "content of a deep model", path: out };
}
