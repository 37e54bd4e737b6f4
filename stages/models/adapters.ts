import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { addScaled, scaleByOwner } from "../../kernels/mod.ts";
import { headerCheckpoint } from "../formats/checkpoint.ts";
import { type LowRankChange, readPeftAdapter } from "../formats/peft.ts";
import type { Adapter } from "./adapter.ts";
import type { ModelFiles } from "./family.ts";
import type { LinearOutline } from "./site.ts";
import { Weight } from "./weight.ts";

/** Stages behind which a model's channels are those of its checkpoint. */
const UNTOUCHED = new Set(["quantize", "calibrate_kv"]);
/** Products take inner values by so many. */
const RANK_STEP = 8;

/**
 * Reads LoRA adapters that PEFT wrote for a model; throws where one does not fit its linears, or the
 * model's channels are no more those that adapters were trained on.
 */
export async function openAdapters(
  wanted: readonly { readonly name: string; readonly path: string }[],
  { architecture, record }: Pick<ModelFiles, "architecture" | "record">,
): Promise<readonly Adapter[]> {
  if (wanted.length === 0) return [];
  const changed = record.history.find(({ stage }) => !UNTOUCHED.has(stage));
  if (changed || record.hadamard.length > 0 || record.orders) {
    throw new TypeError(
      `Cannot put adapters on the model: ${
        changed?.stage ?? "a transform"
      } has changed its channels, expected those of its checkpoint; quantize it without that, or merge the adapter before`,
    );
  }
  const routed = architecture.layers.some(({ sites }) =>
    sites.some(({ routers, expert }) => routers !== undefined || expert !== undefined)
  );
  const linears = new Map(
    architecture.layers.flatMap(({ sites }) =>
      sites.filter(({ role }) => !routed || !role.startsWith("mlp"))
        .flatMap((site) => site.linears.map((linear) => [linear.name, linear] as const))
    ),
  );
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
  const down = stack.use(await weightOf(device, a, [width, inputs]));
  const up = stack.use(await weightOf(device, b, [outputs, width]));
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

/** A matrix in single precision on the device. */
async function weightOf(
  device: Device,
  values: Float32Array<ArrayBuffer>,
  shape: readonly [number, number],
): Promise<Weight> {
  const name = "adapters";
  const stored = { name, dtype: "F32", shape, file: name };
  const checkpoint = headerCheckpoint({ config: {}, tensors: new Map([[name, stored]]) });
  const columns = shape[1];
  const readRaw = (_: string, rows = { start: 0, end: shape[0] }) =>
    Promise.resolve(new Uint8Array(values.slice(rows.start * columns, rows.end * columns).buffer));
  return await Weight.load(device, { ...checkpoint, readRaw }, [name]);
}
