import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32 } from "./device/tensor.ts";
import gate from "./parts/gate.wgsl" with { type: "text" };
import wgsl from "./glu.wgsl" with { type: "text" };

const THREADS = 64;
/** Quads of a task of the CPU engine: some microseconds. */
const TASK_QUADS = 2048;

/** What the gates of an MLP go through, by the names of transformers: SwiGLU's and GEGLU's. */
export type Activation = "silu" | "gelu_pytorch_tanh";

/** How gates are activated. */
export interface GluOptions {
  /** SiLU unless said. */
  readonly activation?: Activation;
}

/** Whether a launch asks for GELU; the other is SiLU. */
export function isGelu({ activation = "silu" }: GluOptions): boolean {
  return activation === "gelu_pytorch_tanh";
}

/**
 * The gated linear unit of an MLP (Shazeer 2020): activation(`gate`) times `up`, both f32 of one shape;
 * without `up`, `gate` f32 [tokens, 2 columns] holds both side by side and `y` is f32 [tokens, columns].
 */
export const glu: Kernel<"gate" | "up", "y", GluOptions, never, "up"> = {
  wgsl: `${gate}\n${wgsl}`,
  inputs: ["gate", "up"],
  outputs: ["y"],
  optional: ["up"],
  plan({ gate, up }, options, limits) {
    const shape = up ? gate.shape : halved(gate.shape);
    const count = elements(shape);
    const whole = up ? count % 4 === 0 : shape.at(-1)! % 4 === 0;
    if (up && describe(gate) !== describe(up) || !whole) {
      throw new RangeError(
        `Cannot gate ${up ? describe(up) : "one half"} by ${
          describe(gate)
        }: expected equal shapes, or rows of two halves, with multiples of 4 elements`,
      );
    }
    const groups = Math.ceil(count / 4 / THREADS);
    const across = Math.min(groups, limits.gridAxis);
    return {
      outputs: { y: { dtype: "f32", shape } },
      constants: { HALVES: up === undefined, GELU: isGelu(options), THREADS },
      params: { quads: { u32: count / 4 }, row: { u32: shape.at(-1)! / 4 } },
      grid: [across, Math.ceil(groups / across), 1],
    };
  },
  cpu({ gate, up }, options, { params }) {
    const quads = elements(gate.shape) / (up ? 4 : 8);
    const tasks = Math.ceil(quads / TASK_QUADS);
    return {
      program: "glu",
      tasks,
      args: { ...params, ...counts({ gelu: Number(isGelu(options)), task_quads: TASK_QUADS }) },
    };
  },
  reference({ gate, up }, options) {
    const gated = isGelu(options) ? gelu : silu;
    if (up) {
      const y = Float32Array.from(gate.data, (g, i) => gated(g) * up.data[i]!);
      return { y: f32(gate.shape, y) };
    }
    const shape = halved(gate.shape);
    const columns = shape.at(-1)!;
    const y = Float32Array.from({ length: elements(shape) }, (_, i) => {
      const at = i + Math.floor(i / columns) * columns;
      return gated(gate.data[at]!) * gate.data[at + columns]!;
    });
    return { y: f32(shape, y) };
  },
  cases: [
    { inputs: extremes(), options: {} },
    { inputs: extremes(), options: { activation: "gelu_pytorch_tanh" } },
    { inputs: spec(3, 132), options: {} },
    { inputs: { gate: { dtype: "f32", shape: [5, 264] } }, options: {} },
    {
      inputs: { gate: { dtype: "f32", shape: [5, 264] } },
      options: { activation: "gelu_pytorch_tanh" },
    },
    {
      inputs: spec(512, 1536),
      options: {},
      cost: { bytes: 3 * 4 * 512 * 1536, flops: 4 * 512 * 1536 },
    },
    {
      inputs: spec(512, 1536),
      options: { activation: "gelu_pytorch_tanh" },
      cost: { bytes: 3 * 4 * 512 * 1536, flops: 7 * 512 * 1536 },
    },
  ],
};

function silu(gate: number): number {
  return gate / (1 + Math.exp(-gate));
}

/** Hendrycks and Gimpel 2016, section 2. */
function gelu(gate: number): number {
  return gate / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3)));
}

function halved(shape: readonly number[]): number[] {
  return shape.map((axis, i) => i === shape.length - 1 ? axis / 2 : axis);
}

/** Gates at 0, near it, and far from it on both sides. */
function extremes() {
  return {
    gate: f32([2, 4], [0, 1, -1, 20, -20, -90, 90, 0.5]),
    up: f32([2, 4], [3, 1, -1, 2, 1, 1, 1, -8]),
  };
}

function spec(rows: number, columns: number) {
  return {
    gate: { dtype: "f32", shape: [rows, columns] },
    up: { dtype: "f32", shape: [rows, columns] },
  } as const;
}
