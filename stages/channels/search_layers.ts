import type { Artifact } from "../../pipeline/artifact.ts";
import type { Job } from "../../pipeline/stage.ts";
import { percent } from "../../pipeline/words.ts";
import {
  headerStats,
  inputBytes,
  openStats,
  type Stats,
  type StatsSizes,
} from "../calibration/stats.ts";
import type { Tools } from "../kinds.ts";
import { openModel } from "../models/architecture.ts";
import { adaptedLinears } from "../models/adapted_linears.ts";
import type { LinearChanges } from "../models/basis.ts";
import type { Architecture, LayerOutline, ModelFiles } from "../models/family.ts";
import { addChannelStep, basisAfter } from "../models/lineage.ts";
import { type ModelRecord, recordAfter, refuseChannels } from "../models/model_record.ts";
import { countPeaks, type DevicePeaks, FOREVER, layersThatDiffer } from "../models/peaks.ts";
import { type Rewrite, rewriteModel } from "../models/rewrite.ts";
import type { Projection } from "../models/site.ts";
import { type PlacedSpread, SPREADS } from "./channel_spread.ts";
import { ChannelWork } from "./channel_work.ts";
import { tensorEdit } from "./edits.ts";
import { identityOrder } from "./order.ts";
import { searchBytes } from "./search_error.ts";

/** What trying a candidate on a weight takes, about, in times of rewriting a weight, and so of one for keys in a layer. */
const [TRIAL, KEY_TRIAL] = [4, 8];

/** What was chosen at one place. */
export interface ChannelChoice {
  readonly place: string;
  /** Squared output error over the kept activations with the channels as before and as chosen, if searched. */
  readonly error?: { readonly before: number; readonly after: number };
  /** How the magnitudes of channels lie before and after, where they are scaled. */
  readonly spread?: PlacedSpread;
}

/** A method that finds new channels from statistics. */
export interface ChannelMethod<Choice extends ChannelChoice> {
  /** The stage, as errors, history and the file of choices call it. */
  readonly stage: string;
  readonly params: unknown;
  /** Places in the order in which they are told. */
  readonly places: readonly string[];
  /** Places whose inputs change, which no transform may stand before. */
  readonly inputs: readonly Projection[];
  /** Most candidates that are tried at one place by the errors of its linears. */
  readonly tried: number;
  /** Candidates for channels of keys that are tried in a layer by the errors of attention. */
  readonly triedKeys?: number;
  /** Throws where the model has no place for what the method does. */
  refuse?(architecture: Architecture): void;
  /** Throws where the statistics do not hold what the method needs. */
  check?(stats: Stats): void;
  /** Changes the channels that lie within one layer. */
  find(work: ChannelWork, layer: LayerOutline): Promise<readonly Choice[]>;
  /** Changes those that the whole model shares, after all layers. */
  findShared?(work: ChannelWork): Promise<readonly Choice[]>;
  /** What the choices at one place came to. */
  words(place: string, choices: readonly Choice[]): string;
}

/**
 * Finds new channels layer by layer, each kept in the journal, and writes the model with them, its
 * lineage, `<stage>.json` with the choices and `spreads.json` with what they do to channels. Gives the record of the model that was there.
 */
export async function searchLayers<Choice extends ChannelChoice>(
  job: Job<Tools>,
  { model, stats: artifact }: {
    readonly model: Artifact<"model">;
    readonly stats: Artifact<"stats">;
  },
  method: ChannelMethod<Choice>,
): Promise<ModelRecord> {
  const { stage } = method;
  const { signal, journal } = job;
  using files = await openModel(model.path);
  const { checkpoint, record, architecture } = files;
  const { layers } = architecture;
  refuseChannels(record, stage, method.inputs);
  method.refuse?.(architecture);
  using stats = await openStats(artifact, model);
  method.check?.(stats);
  const device = () => job.tools.device();
  const source = { checkpoint, architecture, stats, signal, journal, device };
  const work = new ChannelWork(source);
  const each = layerWork(method, checkpoint.tensors.size / layers.length);
  const total = layers.length * each + checkpoint.tensors.size;
  const found: Choice[] = [];
  for (const layer of layers) {
    signal.throwIfAborted();
    // What a layer changes lies within it, so that it is found from nothing but the layer.
    const here = await journal.recall(`layer-${layer.index}`, async () => {
      const part = new ChannelWork(source);
      const choices = await method.find(part, layer);
      const done = layer.index + 1;
      job.progress(done * each, total, `layer ${layer.index} (${done} of ${layers.length})`);
      return { choices, edits: part.edits, changes: part.changes, orders: part.orders };
    });
    found.push(...here.choices);
    work.add(here);
  }
  found.push(...await method.findShared?.(work) ?? []);
  const choices = found.map(({ spread: _, ...choice }) => choice as Choice);
  const spreads = found.flatMap(({ spread }) => spread ?? []);
  const channels = await addChannelStep({ ...model, record }, job.out, {
    activations: work.changes,
    basis: { stage, linears: linearChanges(architecture, work) },
  });
  await rewriteModel(model.path, job.out, {
    signal,
    progress: (done, _, note) => job.progress(layers.length * each + done, total, note),
    edit: (name) => tensorEdit(work.edits.get(name)),
    record: { ...recordAfter(record, method.stage, method.params), ...channels, ...ordersOf(work) },
  });
  await Deno.writeTextFile(`${job.out}/${stage}.json`, JSON.stringify({ choices }, undefined, 2));
  if (spreads.length > 0) {
    await Deno.writeTextFile(`${job.out}/${SPREADS}`, JSON.stringify(spreads));
  }
  for (const place of method.places) {
    const here = choices.filter((choice) => choice.place === place);
    if (here.length > 0) job.note(method.words(place, here), { place, choices: here });
  }
  return record;
}

/** The work of a layer's search, where rewriting a tensor is 1: so that progress tells how long the rest takes. */
function layerWork(
  { tried, triedKeys = 0 }: Pick<ChannelMethod<ChannelChoice>, "tried" | "triedKeys">,
  tensors: number,
): number {
  return 1 + TRIAL * tried * tensors + KEY_TRIAL * triedKeys;
}

/** What a search did to the linears that adapters may change. */
function linearChanges(architecture: Architecture, { edits }: ChannelWork): LinearChanges {
  return new Map(
    adaptedLinears(architecture).flatMap(({ name, weight }) => {
      const { columns: inputs, rows: outputs } = edits.get(weight) ?? {};
      return inputs || outputs
        ? [[name, { ...inputs && { inputs }, ...outputs && { outputs } }] as const]
        : [];
    }),
  );
}

/** How a search would rewrite the model and what it would take, from headers alone. */
export async function countSearch(
  files: ModelFiles,
  stats: StatsSizes,
  method: ChannelMethod<ChannelChoice>,
  limits: unknown,
): Promise<{
  readonly rewrite: Pick<Rewrite, "edit" | "record">;
  /** On the device, and in arrays on the host. */
  readonly search: { readonly peaks: DevicePeaks; readonly arrays: number };
  /** What is launched: as counted, and how many times as much. */
  readonly shares: { readonly work: DevicePeaks["work"]; readonly times: number };
}> {
  const { checkpoint, record, architecture } = files;
  refuseChannels(record, method.stage, method.inputs);
  method.refuse?.(architecture);
  method.check?.(headerStats(stats, architecture));
  const layers = layersThatDiffer(files);
  let work: ChannelWork | undefined;
  const peaks = await countPeaks(limits, async (device) => {
    work = new ChannelWork({
      checkpoint,
      architecture: { ...architecture, layers },
      stats: headerStats(stats, architecture),
      signal: FOREVER,
      journal: { recall: (_name, make) => make() },
      device,
    });
    for (const layer of layers) await method.find(work, layer);
    await method.findShared?.(work);
  });
  const arrays = searchBytes({
    maps: method.tried,
    inputs: inputBytes(stats, architecture),
    ...peaks,
  });
  return {
    rewrite: {
      edit: (name) => tensorEdit(work?.edits.get(name)),
      record: {
        ...recordAfter(record, method.stage, method.params),
        ...basisAfter(record, { stage: method.stage, linears: new Map() }),
        ...forecastOrders(architecture, work),
      },
    },
    search: { peaks, arrays },
    shares: { work: peaks.work, times: architecture.layers.length / layers.length },
  };
}

/** Orders that were found, as a record tells them. */
function ordersOf({ orders }: Pick<ChannelWork, "orders">): Pick<ModelRecord, "orders"> {
  if (orders.size === 0) return {};
  return {
    orders: Object.fromEntries([...orders].map(([site, order]) => [site, Array.from(order)])),
  };
}

/** Orders as those of all layers will be, where those of some were found. */
function forecastOrders(
  { layers }: Architecture,
  work: ChannelWork | undefined,
): Pick<ModelRecord, "orders"> {
  const roles = new Set(
    layers.flatMap(({ sites }) => sites).filter(({ name }) => work?.orders.has(name))
      .map(({ role }) => role),
  );
  if (roles.size === 0) return {};
  const ordered = layers.flatMap(({ sites }) => sites).filter(({ role }) => roles.has(role));
  const entries = ordered.map(({ name, channels }) =>
    [name, [...identityOrder(channels)]] as const
  );
  return { orders: Object.fromEntries(entries) };
}

/** What a search came to: the error against that of the channels as before, and how many stay so. */
export function searchedWords(
  place: string,
  choices: readonly ChannelChoice[],
  { than, kept }: { readonly than: string; readonly kept: string },
): string {
  const sum = (of: "before" | "after") =>
    choices.reduce((total, { error }) => total + (error?.[of] ?? 0), 0);
  const share = percent(sum("after") / sum("before"), 1);
  return `${place}: output error is ${share}% of that ${than}${kept}`;
}
