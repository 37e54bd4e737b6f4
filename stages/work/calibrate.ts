import type { Device } from "../../kernels/device/device.ts";
import { duration, ofAllLayers } from "../duration.ts";
import { headerFiles, type StatsOutline } from "../facts.ts";
import { parsedBytes } from "../sizes.ts";
import { writeSafetensors } from "../formats/safetensors/file.ts";
import { LayerWatch, type WatchOptions } from "../calibration/layer_watch.ts";
import { layerFile, type StatsRecord } from "../calibration/stats.ts";
import { sampleWindows } from "../calibration/sample_windows.ts";
import type { Architecture, LayerOutline, ModelFiles } from "../models/family.ts";
import { keptStreams } from "../models/memory_shares.ts";
import { Model } from "../models/model.ts";
import { type ModelRecord, readModelRecord } from "../models/model_record.ts";
import { countPeaks, emptyWindows, hostPeak, layersThatDiffer } from "../models/peaks.ts";
import { refuseBeyond } from "../models/positions.ts";
import { siteRole } from "../models/site.ts";
import { CountingKeeper, FileKeeper } from "../models/stream_entries.ts";
import type { StreamsOptions } from "../models/streams.ts";
import { checkTokenRows } from "../models/token_rows.ts";
import { type PassOptions, Walk } from "../models/walk.ts";
import type { ParamsOf, WorkOf } from "../kinds.ts";
import type { CalibrateDeclaration } from "../calibrate.ts";

/** Most bytes of `stats.json`, and of the header of a layer's file, with what each expert adds. */
const STATS_BYTES = 2_000;
const LAYER_BYTES = 8_000;
const EXPERT_BYTES = 1_500;

type Params = ParamsOf<CalibrateDeclaration>;

/** Most bytes of the files of all layers, the largest of which holds so many of values. */
function statsBytes({ layers, config }: Architecture, layerBytes: number): number {
  const { count = 0 } = config.experts ?? {};
  return layers.length * (LAYER_BYTES + EXPERT_BYTES * count + layerBytes);
}

/** See `calibrate`. */
export const calibrateWork: WorkOf<CalibrateDeclaration> = {
  async forecast({ model }, params, { memoryBytes, limits, rates }) {
    const files = headerFiles(model);
    refuse(files.record, files.architecture.config, params);
    const { peaks, keptBytes, readBytes, workBytes } = await countWatching(files, params, {
      memoryBytes,
      limits,
    });
    const diskBytes = STATS_BYTES + statsBytes(files.architecture, keptBytes);
    return {
      ...duration(rates, [ofAllLayers(files, peaks), { written: diskBytes + workBytes }]),
      deviceBytes: peaks.deviceBytes,
      // What was seen of a layer is there when no weights are on their way.
      hostBytes: hostPeak(Math.max(0, readBytes - peaks.largest), peaks) + parsedBytes(model),
      diskBytes,
      workBytes, // What the journal keeps of a layer is a link to its file.
      facts: statsFacts(params),
    };
  },
  async run(job, { model: artifact, tokens: text }, params) {
    const { windows, bos } = params;
    const ids = await sampleWindows({ model: artifact.path, tokens: text.path }, params);
    const device = await job.tools.device();
    using model = await Model.open(artifact.path, device, { weightBytes: 0 });
    refuse(await readModelRecord(artifact.path), model.config, params);
    checkTokenRows(ids, model.config);
    const { layers } = model.architecture;
    await using keeper = new FileKeeper(`${job.out}/streams`);
    using owned = new DisposableStack();
    const streams = keptStreams(job.journal, { keeper, memoryBytes: job.tools.memoryBytes });
    let walk: Walk | undefined;
    const passed: PassOptions["passed"] = ({ layer, window }) => {
      job.signal.throwIfAborted();
      const note = `layer ${layer} (${layer + 1} of ${layers.length}), window ${window + 1}`;
      job.progress(layer * windows + window + 1, layers.length * windows, note);
    };
    for (const outline of layers) {
      const layer = outline.index;
      job.signal.throwIfAborted();
      const [file, entry] = [`${job.out}/${layerFile(layer)}`, `layer-${layer}`];
      if (await job.journal.restore(entry, file)) continue;
      walk ??= owned.use(await openWalk(device, model, ids, { ...streams, from: layer }));
      // It begins further back only where the journal has no streams of this layer any more.
      await walk.reach(layer, { passed });
      using watch = await watchNext(device, walk, { layer: outline, params, passed });
      await writeSafetensors(file, await watch.finish());
      await job.journal.keep(entry, file);
    }
    const record: StatsRecord = {
      version: 1,
      model: artifact.digest,
      tokens: text.digest,
      ...bos && { bos },
      ...statsFacts(params),
    };
    await Deno.writeTextFile(`${job.out}/stats.json`, JSON.stringify(record, undefined, 2));
  },
};

/** Takes the samples through the layers that differ, on a device that only counts. */
async function countWatching(
  files: ModelFiles,
  params: Params,
  { memoryBytes, limits }: { readonly memoryBytes: number; readonly limits: unknown },
) {
  const journal = new CountingKeeper();
  let [keptBytes, readBytes] = [0, 0];
  const peaks = await countPeaks(limits, async (open) => {
    const device = await open();
    using opened = Model.of(device, files, { weightBytes: 0 });
    const streams = keptStreams(journal, { keeper: journal, memoryBytes });
    using walk = await openWalk(device, opened, emptyWindows(params), streams);
    for (const layer of layersThatDiffer(files)) {
      using watch = await watchNext(device, walk, { layer, params });
      const { kept, read } = watch.bytes;
      [keptBytes, readBytes] = [Math.max(keptBytes, kept), Math.max(readBytes, read)];
    }
  });
  return { peaks, keptBytes, readBytes, workBytes: journal.bytes };
}

/** Throws for samples beyond the positions, and for keys that smoothing and KV calibration do not know. */
function refuse(
  { kv }: Pick<ModelRecord, "kv">,
  config: Parameters<typeof refuseBeyond>[0],
  params: Params,
): void {
  refuseBeyond(config, params);
  const changed = kv.some(({ rotatedKeys, keyCenter, keysBeforeRope }) =>
    rotatedKeys || keyCenter || keysBeforeRope
  );
  if (!changed) return;
  throw new TypeError(
    "Cannot watch the model: its keys are rotated, centered or not turned for their codes, expected them as they are; put calibrate before calibrate_kv",
  );
}

/** Begins to take samples through all layers; nothing is asked behind the last one. */
function openWalk(
  device: Device,
  model: Model,
  samples: readonly Uint32Array[],
  options: StreamsOptions,
): Promise<Walk> {
  return Walk.open(device, model, samples, { ...options, until: model.config.layers - 1 });
}

/** Takes samples through the layer that comes next, and watches it. */
async function watchNext(
  device: Device,
  walk: Walk,
  { layer, params, passed }: Pick<PassOptions, "passed"> & {
    readonly layer: LayerOutline;
    readonly params: Params;
  },
): Promise<LayerWatch> {
  using stack = new DisposableStack();
  const watch = stack.use(new LayerWatch(device, layer, watchOptions(params)));
  await walk.pass({ ...passed && { passed }, observe: (window) => watch.observe(window) });
  stack.move();
  return watch;
}

function watchOptions(params: Params): WatchOptions {
  const { windows, context, rows, gram } = params;
  const { attentionWindows } = statsFacts(params);
  return {
    windows,
    context,
    gram: gram ? siteRole.options : [],
    rows,
    attentionWindows,
    magnitudes: true,
  };
}

function statsFacts({ windows, context, rows, gram, attention_windows }: Params): StatsOutline {
  return {
    windows,
    context,
    rows: Math.min(rows, windows * context),
    attentionWindows: Math.min(windows, attention_windows),
    gram,
  };
}
