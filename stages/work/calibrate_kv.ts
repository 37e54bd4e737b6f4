import { kvGroups, PAGE_TOKENS, pageWords } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { canTurn } from "../../kernels/attention_turned.ts";
import { canMix } from "../../kernels/rope.ts";
import { KvProbe } from "../calibration/kv_error.ts";
import { headerStats, openStats, type Stats, type StatsSizes } from "../calibration/stats.ts";
import { duration, ofAllLayers } from "../duration.ts";
import { headerFiles } from "../facts.ts";
import type { Device } from "../../kernels/device/device.ts";
import { countPeaks, type DevicePeaks, hostPeak, layersThatDiffer } from "../models/peaks.ts";
import { linkedBytes, modelBytes, parsedBytes } from "../sizes.ts";
import type { KvSchemes } from "../models/attend.ts";
import type { DecoderConfig } from "../models/config.ts";
import { openModel } from "../models/architecture.ts";
import type { Architecture } from "../models/family.ts";
import { addChannelStep } from "../models/lineage.ts";
import { turnedChannels } from "../models/rope.ts";
import { recordAfter, writeModelRecord } from "../models/model_record.ts";
import { copyModelFiles } from "../models/rewrite.ts";
import type { ParamsOf, WorkOf } from "../kinds.ts";
import type { CalibrateKvDeclaration } from "../calibrate_kv.ts";

type Params = ParamsOf<CalibrateKvDeclaration>;

/** What a layer could use, and what it costs. */
interface Choice {
  readonly schemes: KvSchemes;
  /** Squared error of the attention output, relative to it. */
  readonly error: number;
}

/** The exact outputs of all windows, twice that of the one that is compared, and what they are made of. */
function arrayBytes({ attentionWindows }: StatsSizes, { largest }: DevicePeaks): number {
  return 3 * (attentionWindows + 2) * largest;
}

/** See `calibrate_kv`. */
export const calibrateKvWork: WorkOf<CalibrateKvDeclaration> = {
  async forecast({ model, stats: sizes }, params, { limits, rates }) {
    const files = headerFiles(model);
    const { architecture, record } = files;
    check(params, architecture.config);
    refuseNoWindows(sizes);
    const stats = headerStats(sizes, architecture);
    const kv: KvSchemes[] = [];
    const peaks = await countPeaks(limits, async (open) => {
      const device = await open();
      for (const { index: layer } of layersThatDiffer(files)) {
        const { first } = await chooseSchemes(device, stats, params, { architecture, layer });
        kv.push(first.schemes);
      }
    });
    const all = architecture.layers.map((_, layer) => kv[layer] ?? kv[0]!);
    const facts = { ...model, record: { ...recordAfter(record, "calibrate_kv", params), kv: all } };
    return {
      ...duration(rates, [ofAllLayers(files, peaks)]),
      deviceBytes: peaks.deviceBytes,
      hostBytes: hostPeak(arrayBytes(sizes, peaks), peaks) + parsedBytes(model),
      diskBytes: modelBytes(facts),
      linkedBytes: linkedBytes(model), // All but the record become links.
      facts,
    };
  },
  async run(job, { model, stats: statistics }, params) {
    using files = await openModel(model.path);
    const { record, architecture } = files;
    const { config } = architecture;
    check(params, config);
    using stats = await openStats(statistics, model);
    refuseNoWindows(stats.record);
    const device = await job.tools.device();
    const choices: { readonly first: Choice; readonly wide: Choice | undefined }[] = [];
    for (let layer = 0; layer < config.layers; layer++) {
      job.signal.throwIfAborted();
      const choice = await job.journal.recall(`layer-${layer}`, async () => {
        const choice = await chooseSchemes(device, stats, params, { architecture, layer });
        job.progress(layer + 1, config.layers, `layer ${layer} (${layer + 1} of ${config.layers})`);
        return choice;
      });
      choices.push(choice);
    }
    const chosen = fallBack(choices, params, config);
    await copyModelFiles(model.path, job.out);
    await writeModelRecord(job.out, {
      ...recordAfter(record, "calibrate_kv", params),
      ...await addChannelStep({ ...model, record }, job.out, { activations: new Map() }),
      kv: chosen.map(({ schemes }) => schemes),
      measured: { ...record.measured, kv: chosen.map(({ error }) => error) },
    });
    for (const text of words(chosen, config)) job.note(text, undefined, "result");
  },
};

/** What serves a layer best, and with 8 bits where that is a fallback. */
async function chooseSchemes(
  device: Device,
  stats: Stats,
  params: Params,
  where: { readonly architecture: Architecture; readonly layer: number },
): Promise<{ readonly first: Choice; readonly wide: Choice | undefined }> {
  using probe = await KvProbe.open(device, stats, where);
  const more = {
    ...params.rotate_keys && { rotatedKeys: true as const },
    ...params.center_keys && { keyCenter: probe.keyCenter() },
    ...params.before_rope && turns(where) && { keysBeforeRope: true as const },
    ...params.sinks && { sinks: params.sinks },
    ...params.compensate_keys && {
      keyCompensation: probe.keyCompensation({ rotated: params.rotate_keys ?? false }),
    },
  };
  const all = async (params: Params) =>
    (await candidates(params, { stats, ...where })).map((schemes) => ({ ...schemes, ...more }));
  const first = await choose(probe, await all(params));
  const wider = { ...params, bits: 8 as const };
  const wide = params.fallback && params.bits === 4
    ? await choose(probe, await all(wider))
    : undefined;
  return { first, wide };
}

/** Whether the keys of a layer turn at all. */
function turns(
  { architecture: { config: { ropes, ropeOf } }, layer }: {
    readonly architecture: Architecture;
    readonly layer: number;
  },
): boolean {
  return turnedChannels(ropes[ropeOf[layer]!]!) > 0;
}

function refuseNoWindows({ attentionWindows }: StatsSizes): void {
  if (attentionWindows > 0) return;
  throw new TypeError(
    "Cannot measure the KV cache: the stats keep no window of queries, keys and values, expected some; set attention_windows on the calibrate step",
  );
}

function check(
  {
    zero,
    group,
    range,
    bits,
    fallback,
    rotate_keys,
    center_keys,
    before_rope,
    fit_ranges,
    compensate_keys,
  }: Params,
  { headSize, attentionCap, ropes, neighbours }: DecoderConfig,
): void {
  if (before_rope && (rotate_keys || center_keys)) {
    throw new TypeError(
      "Cannot give keys codes before their rotary positions and rotate or center them behind: expected one of both; leave before_rope out, or rotate_keys and center_keys",
    );
  }
  if (before_rope && compensate_keys) {
    throw new TypeError(
      "Cannot compensate keys that get codes before their rotary positions: queries weigh them behind, expected one of both; leave before_rope or compensate_keys out",
    );
  }
  const odd = before_rope
    ? ropes.map(turnedChannels).find((channels) => !canTurn(channels, neighbours))
    : undefined;
  if (odd !== undefined) {
    throw new RangeError(
      `Cannot give keys codes before their rotary positions: ${odd} channels of a head turn, expected a multiple of ${
        neighbours ? 8 : 16
      }, which attention turns when it reads them; leave before_rope out`,
    );
  }
  if (center_keys && attentionCap !== undefined) {
    throw new TypeError(
      `Cannot center keys: scores are capped to ${attentionCap}, so that attention would see it, expected scores as they are; leave center_keys out`,
    );
  }
  if (rotate_keys && !canMix(headSize)) {
    throw new RangeError(
      `Cannot rotate keys: a head has ${headSize} channels, expected a power of two from 4; leave rotate_keys out`,
    );
  }
  if ((rotate_keys || center_keys || before_rope) && range === "static") {
    throw new TypeError(
      "Cannot change keys under a static range: it is that of keys behind their rotary positions as they are, expected range dynamic; or leave rotate_keys, center_keys and before_rope out",
    );
  }
  if (fit_ranges && range === "static") {
    throw new TypeError(
      "Cannot fit ranges that are static: one range is for all tokens, expected range dynamic; or leave fit_ranges out",
    );
  }
  if (fallback && bits === 8) {
    throw new TypeError(
      "Cannot fall back from 8 bits: layers have the most bits already, expected bits 4; leave fallback out",
    );
  }
  if (range === "static" && zero !== "none") {
    throw new TypeError(
      `Cannot use a static range with zero ${zero}: one range for all tokens has no zero point, expected zero none`,
    );
  }
  if (range === "static" && bits === 4) {
    throw new TypeError(
      "Cannot hold keys and values in 4 bits under a static range: expected 8 bits, or range dynamic",
    );
  }
  const channels = group === "head" ? headSize : group;
  const groups = kvGroups(headSize);
  if (groups.includes(channels)) return;
  throw new RangeError(
    `Cannot quantize keys and values in groups of ${channels}: a head has ${headSize} channels, expected ${
      groups.length > 1 ? "one of " : ""
    }${groups.join(", ")}; or set group to head`,
  );
}

/** The schemes to try for a layer: one for each clip. */
async function candidates(
  { bits, zero, group, range, clips, fit_ranges }: Params,
  { stats, architecture, layer }: {
    readonly stats: Stats;
    readonly architecture: Architecture;
    readonly layer: number;
  },
): Promise<KvSchemes[]> {
  const channels = group === "head" ? architecture.config.headSize : group;
  const { taps } = architecture.layers[layer]!;
  const largest = async (tap: "keys" | "values") => {
    const sizes = await stats.magnitude(layer, taps[tap].name, "absmax");
    return sizes.reduce((a, b) => Math.max(a, b));
  };
  const ranges = range === "static"
    ? { key: await largest("keys"), value: await largest("values") }
    : undefined;
  return clips.map((clip) => {
    const of = (most: number | undefined): KvScheme => ({
      bits,
      zero,
      group: channels,
      ...most !== undefined && { range: most * clip },
      ...most === undefined && clip !== 1 && { clip },
      ...fit_ranges && { fit: true as const },
    });
    return { key: of(ranges?.key), value: of(ranges?.value) };
  });
}

async function choose(probe: KvProbe, schemes: readonly KvSchemes[]): Promise<Choice> {
  const choices: Choice[] = [];
  for (const one of schemes) choices.push({ schemes: one, error: await probe.error(one) });
  return choices.reduce((best, choice) => choice.error < best.error ? choice : best);
}

/** Gives 8 bits to the layers that need them most, as far as the budgets say. */
function fallBack(
  choices: readonly { readonly first: Choice; readonly wide: Choice | undefined }[],
  { fallback }: Params,
  { kvHeads, headSize }: DecoderConfig,
): Choice[] {
  const chosen = choices.map(({ first }) => first);
  if (!fallback) return chosen;
  const bytesOf = ({ schemes: { key, value } }: Choice) =>
    [key, value].reduce(
      (sum, scheme) => sum + 4 * pageWords(scheme, kvHeads, headSize) / PAGE_TOKENS,
      0,
    );
  let bytes = chosen.reduce((sum, choice) => sum + bytesOf(choice), 0);
  const worst = [...chosen.keys()].sort((a, b) => chosen[b]!.error - chosen[a]!.error || a - b);
  for (const layer of worst) {
    const { first, wide } = choices[layer]!;
    if (!wide || (fallback.error !== undefined && first.error <= fallback.error)) continue;
    const more = bytesOf(wide) - bytesOf(first);
    if (fallback.bytes_per_token !== undefined && bytes + more > fallback.bytes_per_token) break;
    chosen[layer] = wide;
    bytes += more;
  }
  return chosen;
}

function words(chosen: readonly Choice[], { layers }: DecoderConfig): string[] {
  const errors = chosen.map(({ error }) => error);
  const mean = errors.reduce((a, b) => a + b, 0) / layers;
  const worst = errors.indexOf(errors.reduce((a, b) => Math.max(a, b)));
  const wide = chosen.filter(({ schemes }) => schemes.key.bits === 8).length;
  return [
    `relative squared error of the attention output ${mean.toExponential(2)} on average, ${
      errors[worst]!.toExponential(2)
    } in layer ${worst}`,
    ...wide > 0 && wide < layers ? [`${wide} of ${layers} layers have 8 bits`] : [],
  ];
}
