import { deserialize, serialize } from "node:v8";
import type { Device } from "../../kernels/device/device.ts";
import { drawPlots, markdownText } from "../../pipeline/tell/document.ts";
import { batchesUpTo, largestBatch, type Load, planBatch } from "../benchmark/batches.ts";
import { randomFiles } from "../benchmark/random_model.ts";
import { type Benchmark, bestOf, machineOf, type MeasuredBatch } from "../benchmark/results.ts";
import {
  type BenchmarkSubject,
  randomModels,
  randomSubjects,
  refuseNeitherNorBoth,
  refuseTooLong,
  storedSubjects,
} from "../benchmark/subjects.ts";
import { type Round, runRound } from "../benchmark/throughput.ts";
import { benchmarkPassages, bestWords, throughputPlot } from "../describe/benchmark.ts";
import { EngineError } from "../engine/engine.ts";
import { EngineMemory } from "../engine/engine_memory.ts";
import { headerFiles } from "../facts.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import { sizesOf } from "../models/model_facts.ts";
import { countPeaks, type DevicePeaks, headersOf, hostPeak } from "../models/peaks.ts";
import { parsedBytes } from "../sizes.ts";
import type { ParamsOf, WorkOf } from "../kinds.ts";
import type { BenchmarkDeclaration } from "../benchmark.ts";

type Params = ParamsOf<BenchmarkDeclaration>;

/** A model and the batches it is measured with. */
interface Planned<S> {
  readonly subject: S;
  readonly memory: EngineMemory;
  readonly largest: number;
  readonly batches: readonly number[];
  readonly refused?: string;
}

/** What the journal has of a batch. */
type Measurement = Pick<MeasuredBatch, "device" | "at" | "rounds">;

/** Most bytes of the report and its plot, and what each model, batch and round adds. */
const TOLD_BYTES = 10_000;
const MODEL_BYTES = 1_000;
const BATCH_BYTES = 600;
const ROUND_BYTES = 300;
/** Tokens behind which generating takes no more memory. */
const FEW_TOKENS = 32;

/** See `benchmark`. */
export const benchmarkWork: WorkOf<BenchmarkDeclaration> = {
  async forecast({ models }, params, { memoryBytes, limits }) {
    const { shape, precisions, rounds, batch, most } = params;
    refuseNeitherNorBoth(models.length, shape);
    const all = shape
      ? randomModels({ shape, precisions }).map(({ model }) => randomFiles(model))
      : models.map(headerFiles);
    const peaks = await countRounds(all, { params, memoryBytes, limits });
    const count = all.length * (batch === "auto" ? 2 + Math.log2(most) / 2 : batch.length);
    const told = TOLD_BYTES + MODEL_BYTES * all.length;
    return {
      deviceBytes: largest(peaks, ({ deviceBytes }) => deviceBytes),
      hostBytes: largest(peaks, (each) => hostPeak(0, each)) +
        models.reduce((sum, model) => sum + parsedBytes(model), 0),
      diskBytes: told + count * (BATCH_BYTES + ROUND_BYTES * rounds),
      // Random weights lie there as long as they are measured.
      ...shape &&
        { workBytes: largest(all, (files) => sizesOf(files.checkpoint, files.architecture).bytes) },
      facts: { layers: 0, kvLayers: 0, tasks: [] },
    };
  },
  async run(job, { models }, params) {
    const { shape, prompt, output, seed, warm_up: warmUp, rounds, title } = params;
    refuseNeitherNorBoth(models.length, shape);
    const memoryBytes = params.memory ?? job.tools.memoryBytes;
    const load: Load = { prompt, output, memoryBytes };
    const device = await job.tools.device();
    const machine = machineOf(device);
    const began = new Date().toISOString();
    const subjects = shape
      ? randomSubjects({ shape, precisions: params.precisions }, { directory: job.out, seed })
      : await storedSubjects(models, params.labels);
    const planned: Planned<BenchmarkSubject>[] = [];
    for (const subject of subjects) {
      planned.push(await planSubject(device, subject, { params, load }));
    }
    for (const { subject, batches, largest, refused } of planned) {
      if (refused !== undefined || batches.length === 0) {
        job.note(
          `${subject.label} is not measured: ${
            refused ?? `its largest batch is ${largest}, expected one of those asked for`
          }`,
          {},
          "warning",
        );
      }
    }
    if (planned.every(({ batches }) => batches.length === 0)) {
      throw new RangeError(
        planned.find(({ refused }) => refused !== undefined)?.refused ??
          `Cannot benchmark: no batch of ${params.batch} fits into ${memoryBytes} bytes, expected one that does; raise memory or lower prompt, output or batch`,
      );
    }
    const work = (batch: number) => (warmUp + rounds) * batch * (prompt + output);
    const total = planned.flatMap(({ batches }) => batches).reduce((a, b) => a + work(b), 0);
    let done = 0;
    const measured: Benchmark["models"][number][] = [];
    for (const [at, { subject, memory, largest, batches, refused }] of planned.entries()) {
      const { label, scheme, digest, weightBytes, kvBytesPerToken } = subject;
      await using stack = new AsyncDisposableStack();
      let opened: Model | undefined;
      const open = async () => {
        job.progress(done, total, `${label}, weights`);
        const { path } = stack.use(await subject.place(job.signal));
        const model = stack.use(await Model.open(path, device, { weightBytes: Infinity }));
        await model.loadWhole();
        return model;
      };
      const results: MeasuredBatch[] = [];
      for (const batch of batches) {
        const plan = await planBatch(memory, load, batch);
        const note = `${label}, batch ${batch}`;
        const measure = async (): Promise<Measurement> => {
          const model = opened ??= await open();
          const all: Round[] = [];
          for (let round = 0; round < warmUp + rounds; round++) {
            // Pages of other sizes would stay on the device.
            await job.tools.device();
            const before = done + round * batch * (prompt + output);
            const progress = (tokens: number) => job.progress(before + tokens, total, note);
            const { signal } = job;
            const { sizes } = plan;
            const work = { batch, prompt, output, seed, sizes, signal, progress };
            all.push(await runRound(device, model, work));
          }
          const at = new Date().toISOString();
          return { device: device.name, at, rounds: all.slice(warmUp) };
        };
        const entry = `model-${at}-batch-${batch}`;
        const kept = await job.journal.read(entry);
        const known: Measurement | undefined = kept && deserialize(kept);
        // Another adapter's figures are of no use beside this one's.
        const measurement = known?.device === device.name ? known : await measure();
        if (measurement !== known) await job.journal.write(entry, serialize(measurement));
        done += work(batch);
        job.progress(done, total, note);
        const { pages } = plan.sizes;
        results.push({ batch, pages, pageBytes: pages * plan.pageBytes, ...measurement });
      }
      measured.push({
        label,
        scheme,
        ...digest !== undefined && { digest },
        weightBytes,
        kvBytesPerToken,
        largestBatch: largest,
        ...refused !== undefined && { refused },
        batches: results,
      });
    }
    const protocol = { prompt, output, seed, memoryBytes, warmUp, rounds };
    const report: Benchmark = { title, protocol, machine, began, models: measured };
    await writeReport(job.out, report, params);
    for (const model of measured) {
      job.note(bestWords(model), { ...bestOf(model)?.rates }, "result");
    }
    job.note("table in report.md; timings hold for this machine as it was; --force measures again");
    return { scores: scoresOf(measured) };
  },
};

function largest<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((most, one) => Math.max(most, of(one)), 0);
}

/** What a round of each model's largest batch takes; throws where there is none of any. */
async function countRounds(
  all: readonly ModelFiles[],
  { params, memoryBytes, limits }: {
    readonly params: Params;
    readonly memoryBytes: number;
    readonly limits: unknown;
  },
): Promise<readonly DevicePeaks[]> {
  const { prompt, output, seed } = params;
  const load: Load = { prompt, output, memoryBytes: params.memory ?? memoryBytes };
  const refusals: string[] = [];
  const peaks = await Promise.all(all.map((files, at) =>
    countPeaks(limits, async (open) => {
      const device = await open();
      const subject = { label: `model ${at + 1}`, files };
      const planned = await planSubject(device, subject, { params, load });
      const { memory, largest: batch, refused } = planned;
      if (refused !== undefined) refusals.push(refused);
      if (batch === 0) return;
      using model = Model.of(device, headersOf(files), { weightBytes: Infinity });
      await model.loadWhole();
      const { sizes } = await planBatch(memory, load, batch);
      const few = Math.min(output, FEW_TOKENS);
      await runRound(device, model, { batch, prompt, output: few, seed, sizes });
    })
  ));
  if (refusals.length === all.length) throw new RangeError(refusals[0]);
  return peaks;
}

async function planSubject<S extends Pick<BenchmarkSubject, "label" | "files">>(
  { limits }: Device,
  subject: S,
  { params, load }: { readonly params: Params; readonly load: Load },
): Promise<Planned<S>> {
  const { label, files } = subject;
  const { prompt, output, batch, most } = params;
  refuseTooLong(files.architecture.config.positions, { label, prompt, output });
  const memory = new EngineMemory(limits, files);
  const asked = batch === "auto" ? most : Math.max(...batch);
  try {
    const largest = await largestBatch(memory, load, asked);
    return { subject, memory, largest, batches: batchesUpTo(largest, batch) };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { subject, memory, largest: 0, batches: [], refused: error.message };
  }
}

async function writeReport(out: string, report: Benchmark, { plot }: Params): Promise<void> {
  const write = (name: string, text: string) => Deno.writeTextFile(`${out}/${name}`, text);
  await write("report.json", `${JSON.stringify({ benchmark: report }, undefined, 2)}\n`);
  await write("report.md", markdownText(benchmarkPassages(report)));
  for (const { name, svg } of await drawPlots(plot ? [throughputPlot(report.models)] : [])) {
    await write(`${name}.svg`, svg);
  }
}

/** The highest throughput of every model, under its label where there are several. */
function scoresOf(models: Benchmark["models"]): Record<string, number> {
  return Object.fromEntries(models.flatMap((model) => {
    const best = bestOf(model);
    if (!best) return [];
    const prefix = models.length > 1 ? `${model.label.toLowerCase().replaceAll(/\W+/g, "_")}_` : "";
    return [[`${prefix}tokens_per_second`, best.rates.throughput]];
  }));
}
