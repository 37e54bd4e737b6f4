import { count } from "../../pipeline/words.ts";
import { headerStats, openStats } from "../calibration/stats.ts";
import { headerFiles } from "../facts.ts";
import { duration } from "../duration.ts";
import { openModel } from "../models/architecture.ts";
import { readFirstToken } from "../models/first_token.ts";
import { addChannelStep, basisAfter } from "../models/lineage.ts";
import { countPeaks, type DevicePeaks, emptyWindows, FOREVER } from "../models/peaks.ts";
import { rewriteModel } from "../models/rewrite.ts";
import { CountingKeeper, FileKeeper } from "../models/stream_entries.ts";
import { cutWindows } from "../models/text_windows.ts";
import { checkTokenRows } from "../models/token_rows.ts";
import { orthonormalRows } from "../quant/orthonormal.ts";
import { learnRotations } from "../rotation/learn.ts";
import { countRewrite, learnedRewrite } from "../rotation/learned_model.ts";
import { firstRotations, noRotations, stateSize } from "../rotation/learned_rotations.ts";
import { Learner, type LearnerOptions, stepStreams } from "../rotation/learner.ts";
import type { LearningParams } from "../rotation/learning_params.ts";
import { refuseLearning } from "../rotation/settings.ts";
import { rewriteForecast } from "../sizes.ts";
import type { WorkOf } from "../kinds.ts";
import type { LearnRotationDeclaration } from "../learn_rotation.ts";

const STAGE = "learn_rotation";

/** See `learn_rotation`. */
export const learnRotationWork: WorkOf<LearnRotationDeclaration> = {
  async forecast({ model, tokens, stats: sizes }, params, { memoryBytes, limits, rates }) {
    const files = headerFiles(model);
    const { config } = files.architecture;
    refuseLearning(files, params, { stage: STAGE, text: tokens?.count, stats: sizes });
    const stats = sizes && headerStats(sizes, files.architecture);
    const given = { files, stats, memoryBytes };
    const { peaks, rewrite, step, held } = await countLearning(limits, given, params);
    const { bytes, kept } = stepStreams(config, params, memoryBytes);
    const state = stateSize(config, params.steps);
    const arrays = 5 * state + (kept ? 0 : bytes);
    const { basis } = rewrite;
    const all = rewriteForecast(model, {
      ...rewrite,
      record: { ...rewrite.record, ...basisAfter(model.record, basis) },
    }, { peaks, arrays, measures: false });
    const shares = [
      { work: step, times: params.steps },
      { work: held, times: 2 },
      { work: peaks.work },
    ];
    const seconds = duration(rates, [...shares, { written: all.diskBytes }]);
    return { ...all, ...seconds, workBytes: 3 * state + (kept ? bytes : 0) };
  },
  async run(job, { model, tokens, stats: statistics }, params) {
    using files = await openModel(model.path);
    const { config } = files.architecture;
    const text = tokens &&
      new Uint32Array((await Deno.readFile(`${tokens.path}/tokens.u32`)).buffer);
    using stats = statistics && await openStats(statistics, model);
    const given = { stage: STAGE, text: text?.length, stats: stats?.record };
    refuseLearning(files, params, given);
    const windows = text && params.method === "network"
      ? await windowsOf(text, params, model.path)
      : [];
    checkTokenRows(windows, config);
    const repeats = repeated(windows.length, params);
    if (repeats) job.note(repeats, undefined, "warning");
    const device = await job.tools.device();
    await using keeper = new FileKeeper(`${job.out}/streams`);
    const { signal, journal, tools: { memoryBytes } } = job;
    const { steps } = params;
    const passed = (done: number) =>
      job.progress(done, steps, `step ${Math.ceil(done)} of ${steps}`);
    const held = heldOf(windows, params);
    const source = { files, windows, held, stats, keeper, memoryBytes, signal, passed };
    using learner = new Learner(device, source, params);
    const first = firstRotations(config, params.seed);
    const { losses, rotations } = await learnRotations(
      device,
      first,
      {
        ...params,
        config,
        learner,
        journal,
        told(step, loss) {
          passed(step + 1);
          const words = `step ${step + 1} of ${steps}: loss ${loss.toFixed(4)}`;
          job.note(words, { step, loss, error: loss }, "detail");
        },
      },
    );
    const [begun, ended] = [await learner.held(first), await learner.held(rotations)];
    const { basis, record, ...rewrite } = await learnedRewrite(device, files, {
      rotations: {
        residual: orthonormalRows(rotations.residual, config.hidden),
        heads: rotations.heads.map((head) => orthonormalRows(head, config.headSize)),
      },
      losses,
      stage: STAGE,
      params,
    });
    // Rotated channels are mixtures of the earlier ones: what was measured there is void here.
    const before = { ...model, record: files.record };
    const channels = await addChannelStep(before, job.out, { activations: undefined, basis });
    await rewriteModel(model.path, job.out, {
      ...rewrite,
      record: { ...record, ...channels },
      signal,
      progress: (done, total, note) => job.progress(done, total, note),
    });
    const words = `loss ${begun.toFixed(4)} by the first rotations, ${
      ended.toFixed(4)
    } by the learned`;
    job.note(`${words}, on ${comparedText(windows.length, params)}`, undefined, "result");
    if (!(ended < begun)) {
      job.note(
        `${words}: nothing was learned, expected it to fall; take more tokens a step, or a lower rate than ${params.rate}`,
        undefined,
        "warning",
      );
    }
    return { scores: { first_loss: begun, last_loss: ended } };
  },
};

/** Takes a step of learning, and the largest piece of every tensor, on a device that only counts. */
async function countLearning(
  limits: unknown,
  given: Pick<LearnerOptions, "files" | "stats" | "memoryBytes">,
  params: LearningParams,
) {
  const { files } = given;
  const { config } = files.architecture;
  const windows = emptyWindows({ ...params, windows: params.batch });
  const journal = new CountingKeeper();
  const held = params.method === "network" ? emptyWindows({ ...params, windows: params.held }) : [];
  const source = { ...given, windows, held, keeper: journal, signal: FOREVER };
  const rotations = noRotations(config);
  const made: Awaited<ReturnType<typeof learnedRewrite>>[] = [];
  let step: DevicePeaks["work"] = [];
  let compared: DevicePeaks["work"] = [];
  const peaks = await countPeaks(limits, async (open) => {
    const device = await open();
    using learner = new Learner(device, source, params);
    await learnRotations(device, rotations, { ...params, steps: 1, config, learner, journal });
    step = device.taken();
    await learner.held(rotations);
    compared = device.taken();
    const losses = Array<number>(params.steps).fill(0);
    const rewrite = await learnedRewrite(device, files, {
      rotations,
      losses,
      stage: STAGE,
      params,
    });
    await countRewrite(files, rewrite);
    made.push(rewrite);
  });
  return { peaks, rewrite: made[0]!, step, held: compared };
}

/** All whole windows of a text. */
async function windowsOf(
  text: Uint32Array<ArrayBuffer>,
  { context, bos }: LearningParams,
  path: string,
): Promise<Uint32Array[]> {
  const first = bos && await readFirstToken(path);
  const ids = cutWindows(text, { context, bos, windows: "all" }, first);
  return Array.from(
    { length: ids.length / context },
    (_, i) => ids.subarray(i * context, (i + 1) * context),
  );
}

/** Windows that no step takes, or the last ones of a text that has none left. */
function heldOf(
  windows: readonly Uint32Array[],
  { steps, batch, held }: LearningParams,
): readonly Uint32Array[] {
  const left = windows.slice(steps * batch, steps * batch + held);
  return left.length > 0 ? left : windows.slice(-held);
}

/** What text first and learned rotations are compared on: what steps have read tells less. */
function comparedText(windows: number, { method, steps, batch, held }: LearningParams): string {
  if (method !== "network") return "all statistics";
  const left = Math.min(held, windows - steps * batch);
  return left > 0
    ? `${count(left, "window")} that no step read`
    : "windows that steps have read as well";
}

/** Says that a text is shorter than all steps. */
function repeated(
  windows: number,
  { method, steps, batch }: LearningParams,
): string | undefined {
  if (method !== "network" || windows >= steps * batch) return undefined;
  const times = (steps * batch / windows).toFixed(1);
  return `the text has ${windows} windows for ${steps} steps of ${batch}: it is read ${times} times`;
}
