import { createHash } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import type { Device } from "../../kernels/device/device.ts";
import { duration } from "../duration.ts";
import { headerFiles, type ModelOutline, tokenizerOf } from "../facts.ts";
import { parsedBytes } from "../sizes.ts";
import { bytesOf, joined } from "../formats/half.ts";
import { Baseline, type BaselineArtifacts } from "../metrics/baseline.ts";
import { meanDivergence, type WindowDivergence } from "../metrics/divergence.ts";
import { estimateWords, estimateWork } from "../metrics/estimate.ts";
import { evaluationPeaks, weightBudget, windowsAtOnce } from "../metrics/evaluation_memory.ts";
import { HiddenWriter } from "../metrics/hidden_file.ts";
import { llamaCppScores } from "../metrics/llama_cpp.ts";
import { perplexity, protocolId, scoreWindow } from "../metrics/perplexity.ts";
import { cutWindows, windowCount } from "../models/text_windows.ts";
import { windowStates } from "../metrics/windows.ts";
import { architectureOf } from "../models/architecture.ts";
import { Model } from "../models/model.ts";
import { describeModel } from "../models/model_facts.ts";
import { readFirstToken } from "../models/first_token.ts";
import { refuseBeyond } from "../models/positions.ts";
import { checkTokenRows } from "../models/token_rows.ts";
import { readEvaluation, writeEvaluation } from "../report/evaluation.ts";
import { headScore, type TaskResult, type TaskResults } from "../report/task_result.ts";
import { taskWords } from "../describe/tasks.ts";
import type { TaskChoice } from "../tasks/task_choice.ts";
import type { WorkOf } from "../kinds.ts";
import type { EvaluateDeclaration } from "../evaluate.ts";

/** Most bytes of a report without its figures, and of one of those. */
const REPORT_BYTES = 2_600;
const FIGURE_BYTES = 50;

/** How a window went. */
interface Score {
  readonly logLikelihoods: Float32Array;
  readonly divergence: WindowDivergence | undefined;
}

/** A window as the journal has it. */
interface ScoredWindow extends Score {
  /** Inputs of the head, where they are kept. */
  readonly hidden: Float32Array | undefined;
}

/** See `evaluate`. */
export const evaluateWork: WorkOf<EvaluateDeclaration> = {
  async forecast({ model, tokens, ...against }, params, { rates, ...bounds }) {
    const { context, keep_hidden, beyond_positions, tasks, ...choice } = params;
    refuseBeyond(architectureOf(model.config).config, { context, beyond_positions });
    const { count: windows } = windowCount(tokens.count, { ...choice, context });
    const other = against.baseline && against.baseline_model;
    const evaluated = { model: headerFiles(model), baseline: other && headerFiles(other) };
    const asked = await forecastTasks(tasks, { model, ...bounds, beyond_positions });
    const shape = { ...bounds, limits: bounds.limits, context, windows, behind: asked.behind };
    const peaks = await evaluationPeaks(evaluated, shape);
    const { hidden, layers } = evaluated.model.architecture.config;
    const kept = 4 * windows *
      ((other ? 2 : 1) * (context - 1) + (keep_hidden ? context * hidden : 0));
    const { kv, linears } = model.record;
    const errors = Object.keys(linears).length > 0 ? layers : 0;
    return {
      deviceBytes: Math.max(peaks.deviceBytes, asked.planned()),
      hostBytes: peaks.hostBytes + asked.hostBytes + parsedBytes(model, { tokenizes: true }),
      ...asked.names.length === 0 && duration(rates, peaks.shares),
      diskBytes: asked.diskBytes + kept + REPORT_BYTES +
        FIGURE_BYTES * ((other ? 3 : 1) * windows + 2 * errors + kv.length),
      // Of every window until the last one is scored, and the group at work.
      workBytes: kept + (other ? windows * (context - 1) : 0) + peaks.streamBytes + asked.diskBytes,
      facts: { layers: errors, kvLayers: kv.length, tasks: asked.names },
    };
  },
  async run(job, inputs, { keep_hidden, beyond_positions, tasks, ...choice }) {
    const { context } = choice;
    const { prepareTasks } = await import("../tasks/prepare_tasks.ts");
    const { checkBaselineTasks, runTasks, tasksTokens } = await import("../tasks/run_tasks.ts");
    const { checkLengths } = await import("../tasks/task_lengths.ts");
    const prepared = await prepareTasks(tasks ?? [], job.signal);
    const first = choice.bos && await readFirstToken(inputs.model.path);
    const tokens = cutWindows(await readIds(inputs.tokens.path), choice, first);
    const count = tokens.length / context;
    const protocol = { id: protocolId(choice), context, windows: count, tokens: sha256(tokens) };
    const artifacts = baselineOf(inputs.baseline, inputs.baseline_model);
    using baseline = artifacts && await Baseline.open(artifacts, protocol);
    const found = artifacts && (await readEvaluation(artifacts.report.path)).tasks?.tasks;
    if (artifacts) checkBaselineTasks(prepared, { tasks: found ?? [] });
    const device = await job.tools.device();
    const { memoryBytes } = job.tools;
    const weightBytes = weightBudget(memoryBytes, baseline?.headBytes ?? 0);
    using model = await Model.open(inputs.model.path, device, { weightBytes });
    refuseBeyond(model.config, { context, beyond_positions });
    checkLengths(prepared, model.config, beyond_positions);
    checkTokenRows([tokens], model.config);
    baseline?.assertComparable(model.config);
    const group = windowsAtOnce(model, { memoryBytes, context, windows: count });
    const asked = { context, windows: count, memoryBytes, baseline };
    // Where it cannot be counted, it is for the device itself to say whether it can be done.
    const estimate = await estimateWork(device, model, asked).catch((error: Error) => error);
    if (estimate instanceof Error) job.note(`What it takes is not known: ${estimate.message}`);
    else job.note(estimateWords(estimate, device), estimate);
    using kept = keep_hidden ? await HiddenWriter.create(job.out) : undefined;
    // Progress counts tokens, of windows and of tasks.
    const windowTokens = count * context;
    const allTokens = windowTokens + tasksTokens(prepared);
    const progress = (done: number, total: number, note: string) =>
      job.progress(windowTokens * done / total, allTokens, note);
    const scored: Score[] = [];
    const take = async (window: number, { hidden, ...score }: ScoredWindow) => {
      scored[window] = score;
      if (hidden) await kept?.write(window, hidden);
    };
    const left: number[] = [];
    for (let window = 0; window < count; window++) {
      job.signal.throwIfAborted();
      const known = await job.journal.read(`window-${window}`);
      if (known) await take(window, deserialize(known));
      else left.push(window);
    }
    const { journal, signal } = job;
    const walk = { context, windows: left, group, journal, signal, progress };
    for await (const state of windowStates(device, model, tokens, walk)) {
      const divergence = await baseline?.compare(device, model, state);
      const logLikelihoods = divergence?.logLikelihoods ?? await scoreWindow(device, model, state);
      const hidden = kept && (await device.read(state.hidden)).data as Float32Array;
      const known = { logLikelihoods, divergence, hidden };
      await job.journal.write(`window-${state.window}`, serialize(known));
      await take(state.window, known);
    }
    const likelihoods = scored.map(({ logLikelihoods }) => logLikelihoods);
    const divergences = scored.flatMap(({ divergence }) => divergence ?? []);
    const result = perplexity(likelihoods);
    const taskResults = prepared.length === 0 ? undefined : await runTasks(prepared, {
      device,
      model,
      path: inputs.model.path,
      baseline: artifacts && { path: artifacts.report.path, tasks: found ?? [] },
      out: job.out,
      memoryBytes,
      journal,
      signal,
      progress: (done, _total, note) => job.progress(windowTokens + done, allTokens, note),
      warn: (text) => job.note(text, undefined, "warning"),
      scored: (result) => job.note(taskWords(result), { ...headScore(result) }, "result"),
    });
    const { kl, top1, ...ofWindows } = baseline ? meanDivergence(divergences) : {};
    const scores = {
      perplexity: result.perplexity,
      ...baseline && { perplexity_ratio: result.perplexity / baseline.perplexity },
      ...kl !== undefined && { kl },
      ...top1 !== undefined && { top1 },
    };
    await writeEvaluation(job.out, {
      scores,
      protocol,
      model: { digest: inputs.model.digest, ...await describeModel(inputs.model.path) },
      ...artifacts && { baseline: artifacts.model.digest },
      windowMeans: result.windowMeans,
      ...ofWindows,
      ...baseline && choice.bos === undefined && { llamaCpp: llamaCppScores(divergences) },
      hidden: keep_hidden,
      ...taskResults && { tasks: taskResults },
    });
    await Deno.writeFile(`${job.out}/log_likelihoods.f32`, bytesOf(joined(likelihoods)));
    if (baseline) {
      await Deno.writeFile(`${job.out}/kl.f32`, bytesOf(joined(divergences.map(({ kl }) => kl))));
    }
    return { scores: { ...scores, ...taskScores(taskResults) } };
  },
};

/** What tasks take, from their rows and the model's headers; those that do not fit are refused here. */
async function forecastTasks(
  choices: readonly TaskChoice[] | undefined,
  { model, memoryBytes, beyond_positions }: {
    readonly model: ModelOutline;
    readonly memoryBytes: number;
    readonly beyond_positions: boolean | undefined;
  },
) {
  const { prepareTasks } = await import("../tasks/prepare_tasks.ts");
  const { checkLengths } = await import("../tasks/task_lengths.ts");
  const { countTasks, tasksBytes } = await import("../tasks/tasks_memory.ts");
  const prepared = await prepareTasks(choices ?? []);
  checkLengths(prepared, architectureOf(model.config).config, beyond_positions);
  const { texts, disk } = tasksBytes(prepared);
  let planned = 0;
  return {
    hostBytes: 2 * texts,
    diskBytes: disk,
    names: prepared.map(({ task }) => task.name),
    /** What engines plan, once `behind` was counted. */
    planned: () => planned,
    async behind(device: Device, whole: Model) {
      if (prepared.length === 0) return;
      const [files, tokenizer] = [headerFiles(model), await tokenizerOf(model)];
      planned = await countTasks(device, whole, prepared, { files, tokenizer, memoryBytes });
    },
  };
}

/** The scores that stand for tasks and groups, for the summary. */
function taskScores(results: TaskResults | undefined): Readonly<Record<string, number>> {
  const { tasks = [], groups = [] } = results ?? {};
  const name = (task: string, metric: string) => `${task}_${metric}`.replaceAll(/\W+/g, "_");
  return Object.fromEntries([
    ...tasks.map((result: TaskResult) => {
      const { metric, value } = headScore(result);
      return [name(result.task, metric), value] as const;
    }),
    ...groups.map(({ group, score }) => [name(group, score.metric), score.value] as const),
  ]);
}

async function readIds(path: string): Promise<Uint32Array<ArrayBuffer>> {
  return new Uint32Array((await Deno.readFile(`${path}/tokens.u32`)).buffer);
}

function baselineOf(
  report: BaselineArtifacts["report"] | undefined,
  model: BaselineArtifacts["model"] | undefined,
): BaselineArtifacts | undefined {
  if (report && model) return { report, model };
  if (!report && !model) return undefined;
  const [there, missing] = report ? ["baseline", "baseline_model"] : ["baseline_model", "baseline"];
  throw new TypeError(
    `Cannot compare with a baseline: there is input ${there} but no ${missing}, expected both or none`,
  );
}

function sha256(tokens: Uint32Array<ArrayBuffer>): string {
  return createHash("sha256").update(bytesOf(tokens)).digest("hex");
}
