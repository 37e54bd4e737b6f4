import { z } from "zod";
import { forecastCalibrate } from "./forecast/calibrate.ts";
import { writeSafetensors } from "./formats/safetensors/file.ts";
import { LayerWatch, type WatchOptions } from "./calibration/layer_watch.ts";
import { layerFile, type StatsRecord } from "./calibration/stats.ts";
import { Streams } from "./calibration/streams.ts";
import { sampleWindows } from "./calibration/sample_windows.ts";
import { defineStage } from "./kinds.ts";
import { openPlaces, settle } from "./models/places.ts";
import { Model } from "./models/model.ts";
import { siteRole } from "./models/site.ts";

const params = z.strictObject({
  windows: z.int().positive().default(128).describe("Samples from the start of the text."),
  context: z.int().min(2).default(512).describe("Tokens a sample."),
  gram: z.boolean().default(true).describe(
    "Sum the Gram matrix of every site, which GPTQ and the range search need.",
  ),
  rows: z.int().nonnegative().default(512).describe(
    "Activations of every site to keep, which smoothing and reordering search over.",
  ),
  attention_windows: z.int().nonnegative().default(2).describe(
    "Samples whose queries, keys and values are kept, which SmoothAttention and KV calibration need.",
  ),
});

/** Watches the activations of a model on a text. */
export const calibrate = defineStage({
  about: "Streams samples through a model, a layer at a time, and keeps statistics of every site.",
  version: 1,
  params,
  inputs: { model: "model", tokens: "tokens" },
  output: "stats",
  example: { windows: 2, context: 64, rows: 32, attention_windows: 1 },
  forecast: forecastCalibrate,
  async run(job, { model: artifact, tokens: text }, { windows, context, rows, gram, ...rest }) {
    const ids = await sampleWindows(text.path, { context, windows });
    const device = await job.tools.device();
    const memory = job.tools.memoryBytes;
    using model = await Model.open(artifact.path, device, { weightBytes: 0 });
    const { layers } = model.architecture;
    await using owned = new AsyncDisposableStack();
    let streams: Streams | undefined;
    using places = openPlaces(device, model.config, context);
    const options: WatchOptions = {
      windows,
      context,
      gram: gram ? siteRole.options : [],
      rows,
      attentionWindows: Math.min(windows, rest.attention_windows),
      magnitudes: true,
    };
    const walk = async (streams: Streams, watch?: LayerWatch) => {
      const { layer } = streams;
      // The model keeps no layer, so that this one leaves the device even where a window fails.
      using weights = await model.layer(layer);
      for (let window = 0; window < windows; window++) {
        const stream = await streams.take(window);
        const observe = watch?.observe(window);
        await streams.put(window, weights.run(device, { stream, places, observe }));
        await settle(device, places);
        job.signal.throwIfAborted();
        const note = `layer ${layer + 1} of ${layers.length}, window ${window + 1}`;
        job.progress(layer * windows + window + 1, layers.length * windows, note);
      }
    };
    for (const outline of layers) {
      const layer = outline.index;
      job.signal.throwIfAborted();
      const [file, entry] = [`${job.out}/${layerFile(layer)}`, `layer-${layer}`];
      if (await job.journal.restore(entry, file)) continue;
      streams ??= owned.use(
        await Streams.open(device, model, ids, {
          memoryBytes: 0.25 * memory,
          directory: `${job.out}/streams`,
          journal: job.journal,
          layer,
        }),
      );
      // They stand further back only where the journal has them no more.
      while (streams.layer < layer) await walk(streams);
      using watch = new LayerWatch(device, outline, options);
      await walk(streams, watch);
      await writeSafetensors(file, await watch.finish());
      await job.journal.keep(entry, file);
    }
    const record: StatsRecord = {
      version: 1,
      model: artifact.digest,
      tokens: text.digest,
      windows,
      context,
      rows: Math.min(rows, windows * context),
      attentionWindows: options.attentionWindows,
      gram,
    };
    await Deno.writeTextFile(`${job.out}/stats.json`, JSON.stringify(record, undefined, 2));
  },
});
