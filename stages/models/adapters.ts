import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { addScaled, scaleByOwner } from "../../kernels/mod.ts";
import { type LowRankChange, readPeftAdapter } from "../formats/peft.ts";
import { adaptedLinears } from "./adapted_linears.ts";
import type { Adapter } from "./adapter.ts";
import { type BasisStep, changeVectors, turnedOver } from "./basis.ts";
import type { ModelFiles } from "./family.ts";
import type { LinearOutline } from "./site.ts";
import { MODEL_RECORD, type ModelRecord } from "./model_record.ts";
import { singleWeight } from "./weight.ts";

/** Stages that leave a model's channels as they are. */
const UNTOUCHED = new Set(["load", "quantize", "calibrate_kv"]);
/** Products take inner values by so many. */
const RANK_STEP = 8;

/**
 * Reads LoRA adapters that PEFT wrote for a model's checkpoint; throws where one does not fit its linears,
 * or the model does not tell how its channels became others. See `carriedAdapters()`.
 */
export async function openAdapters(
  wanted: readonly { readonly name: string; readonly path: string }[],
  { architecture, record }: Pick<ModelFiles, "architecture" | "record">,
): Promise<readonly Adapter[]> {
  if (wanted.length === 0) return [];
  refuseForeign(record);
  const changed = changing(record.history);
  const told = (record.basis ?? []).map(({ stage }) => stage);
  const odd = changed.findLast(({ stage }, at) => stage !== told[at]) ??
    (record.hadamard.length > 0 && told.length === 0 ? { stage: "a transform" } : undefined);
  if (odd || told.length !== changed.length) {
    throw new TypeError(
      `Cannot put adapters on the model: ${
        odd?.stage ?? told.at(-1)!
      } has changed its channels and its ${MODEL_RECORD} does not tell how, expected channels of its checkpoint or steps that tell; make the model anew, or merge the adapter before`,
    );
  }
  const linears = new Map(adaptedLinears(architecture).map((linear) => [linear.name, linear]));
  const adapters: Adapter[] = [];
  for (const { name, path } of wanted) {
    const changes = await readPeftAdapter(path);
    for (const [module, { inputs, outputs }] of changes) refuseMisfit(module, { inputs, outputs });
    adapters.push({ name, changes });
  }
  return adapters;

  function refuseMisfit(
    module: string,
    { inputs, outputs }: Pick<LowRankChange, "inputs" | "outputs">,
  ): void {
    const linear = linears.get(module);
    if (linear?.rows === outputs && linear.columns === inputs) return;
    throw new TypeError(
      `Cannot put an adapter on "${module}": it is of ${outputs} outputs and ${inputs} inputs, expected ${
        linear ? `${linear.rows} and ${linear.columns}` : "a linear of a layer that the model has"
      }`,
    );
  }
}

/**
 * Throws where others than the stages of a model's history may have changed its channels: before it was
 * exported, or in the program that quantized it.
 */
function refuseForeign({ before, history }: Pick<ModelRecord, "before" | "history">): void {
  const changed = changing(before ?? []).map(({ stage }) => stage);
  if (changed.length > 0) {
    throw new TypeError(
      `Cannot put adapters on the model: ${
        [...new Set(changed)].join(", ")
      } had changed its channels before it was exported and loaded anew, expected channels of the checkpoint that adapters are made for; put them on the model that was exported, or, if they were made for this one, load it without its provenance.json`,
    );
  }
  // An export of ours without any stage was in full precision, and is no program's but ours.
  const [first] = before ?? history;
  const { format } = Object(first?.params) as { readonly format?: unknown };
  if (first?.stage !== "load" || format === undefined) return;
  throw new TypeError(
    `Cannot put adapters on the model: another program quantized it (${format}), which may have changed its channels and does not tell, expected channels of the checkpoint that adapters are made for; load that checkpoint and quantize it here`,
  );
}

function changing(history: ModelRecord["history"]): ModelRecord["history"] {
  return history.filter(({ stage }) => !UNTOUCHED.has(stage));
}

/**
 * Adapters as they act on a model whose channels became others since it was loaded: the rows of a are
 * vectors of inputs, the columns of b vectors of outputs, and each step of `basis` does to them what it
 * did to those of the weight W: from W + b a it makes W' + b' a'.
 */
export async function carriedAdapters(
  device: Device,
  adapters: readonly Adapter[],
  basis: readonly BasisStep[],
): Promise<readonly Adapter[]> {
  return await Promise.all(adapters.map(async ({ name, changes }) => {
    const carried = new Map<string, LowRankChange>();
    for (const [linear, change] of changes) {
      const a = change.a.slice();
      const b = turnedOver(change.b, change.rank);
      for (const step of basis) {
        const { inputs, outputs } = step.linears.get(linear) ?? {};
        if (inputs) await changeVectors(device, a, inputs, step);
        if (outputs) await changeVectors(device, b, outputs, step);
      }
      carried.set(linear, { ...change, a, b: turnedOver(b, change.outputs) });
    }
    return { name, changes: carried };
  }));
}

/** What adapters add behind one site. */
export interface SiteAdapters extends Disposable {
  /**
   * Adds to `y` f32 [tokens, outputs] what the adapter of each token makes of `x` f32 [tokens, inputs];
   * `owners` u32 [tokens] has its number from 1 on, 0 for none.
   */
  add(device: Device, x: TensorRef, { y, owners }: {
    readonly y: Tensor;
    readonly owners: TensorRef;
  }): void;
}

/**
 * Puts onto the device what adapters add to linears that share an input: factors of all of them one
 * below the other, so that rows of any adapters take two products and one launch between them, which
 * leaves each row its own. Undefined where none changes any of them.
 */
export async function loadSiteAdapters(
  device: Device,
  linears: readonly LinearOutline[],
  adapters: readonly Adapter[],
): Promise<SiteAdapters | undefined> {
  const blocks: { readonly owner: number; readonly row: number; readonly change: LowRankChange }[] =
    [];
  let outputs = 0;
  for (const { name, rows } of linears) {
    for (const [at, { changes }] of adapters.entries()) {
      const change = changes.get(name);
      if (change) blocks.push({ owner: at + 1, row: outputs, change });
    }
    outputs += rows;
  }
  if (blocks.length === 0) return undefined;
  const ranks = blocks.reduce((sum, { change: { rank } }) => sum + rank, 0);
  const width = Math.ceil(ranks / RANK_STEP) * RANK_STEP;
  const inputs = linears[0]!.columns;
  const a = new Float32Array(width * inputs);
  const b = new Float32Array(outputs * width);
  const factors = new Float32Array((1 + adapters.length) * width);
  let first = 0;
  for (const { owner, row, change } of blocks) {
    const { rank, scale } = change;
    a.set(change.a, first * inputs);
    for (let output = 0; output < change.outputs; output++) {
      const from = change.b.subarray(output * rank, (output + 1) * rank);
      b.set(from, (row + output) * width + first);
    }
    factors.fill(scale, owner * width + first, owner * width + first + rank);
    first += rank;
  }
  using stack = new DisposableStack();
  const down = stack.use(await singleWeight(device, a, [width, inputs]));
  const up = stack.use(await singleWeight(device, b, [outputs, width]));
  const scales = stack.use(device.upload(f32([1 + adapters.length, width], factors), "adapters"));
  const owned = stack.move();
  return {
    add(device, x, { y, owners }) {
      using all = down.apply(device, x);
      using own = device.run(scaleByOwner, { x: all, owners, factors: scales }, {}).y;
      using added = up.apply(device, own);
      device.run(addScaled, { x: added, sum: y }, { factor: 1 });
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
