import type { Kernel } from "../../kernels/device/kernel.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import wgsl from "./multiply_chain.wgsl" with { type: "text" };

const THREADS = 256;
const TURNS = 512;
const CHAINS = 8;
/** Four bytes; a param, so that no compiler makes shifts of it. */
const FACTOR = 0x01020304;

/** How many workgroups multiply, and what. */
export interface ChainOptions {
  readonly groups: number;
  readonly integer: boolean;
}

/** Operations of a launch: of a product of four bytes four multiplications and four additions. */
export function chainOperations({ groups, integer }: ChainOptions): number {
  return groups * THREADS * TURNS * CHAINS * (integer ? 8 : 2);
}

/** Multiplies and adds in registers: the ceiling that products are held against. */
export const multiplyChain: Kernel<never, "y", ChainOptions> = {
  wgsl,
  inputs: [],
  outputs: ["y"],
  plan: (_inputs, { groups, integer }) => ({
    outputs: { y: { dtype: "u32", shape: [groups * THREADS] } },
    constants: { INTEGER: integer, THREADS, TURNS },
    params: { seed: { u32: 1 }, factor: { u32: FACTOR } },
    grid: [groups, 1, 1],
  }),
  cpu: () => ({ program: "multiplyChain", tasks: 0, args: {} }),
  reference(_inputs, { groups, integer }) {
    const y = new Uint32Array(groups * THREADS);
    for (let i = 0; i < y.length; i++) {
      let sum = 0;
      for (let c = 0; c < CHAINS; c++) {
        let whole = 1 + i * CHAINS + c;
        let real = whole % 256;
        for (let turn = 0; turn < TURNS; turn++) {
          if (integer) whole = whole + dot(whole, FACTOR) | 0;
          // A half is exact, so fused or not it is rounded once.
          else real = Math.fround(real / 2 + 3);
        }
        sum ^= whole ^ bitsOf(real);
      }
      y[i] = sum;
    }
    return { y: u32([y.length], y) };
  },
  cases: [
    { inputs: {}, options: { groups: 2, integer: true }, tolerance: 0 },
    { inputs: {}, options: { groups: 2, integer: false }, tolerance: 0 },
  ],
};

/** `dot4I8Packed` of two words. */
function dot(a: number, b: number): number {
  let sum = 0;
  for (let shift = 24; shift >= 0; shift -= 8) sum += (a << shift >> 24) * (b << shift >> 24);
  return sum;
}

function bitsOf(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0]!;
}
