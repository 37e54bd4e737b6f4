import type { TensorSpec } from "./device/device.ts";
import { counts, type Kernel } from "./device/kernel.ts";
import { describe, elements, f32, type HostTensor, lazyTensor } from "./device/tensor.ts";
import {
  attended,
  attentionPaged,
  type AttentionPagedOptions,
  heldCase,
  none,
  pagedShaders,
  post,
  pre,
} from "./attention_paged.ts";
import { PAGE_TOKENS } from "./codes/kv_page.ts";
import turn from "./codes/kv_turn.wgsl" with { type: "text" };
import bindings from "./parts/attention_turned_bindings.wgsl" with { type: "text" };
import { turnedHead } from "./rope.ts";

/** What attention to keys that have not been turned needs to know. */
export interface AttentionTurnedOptions extends AttentionPagedOptions {
  /** How channels of keys pair, see `rope`; halves unless said. */
  readonly neighbours?: boolean;
}

type In = "q" | "k" | "v" | "block_table" | "spans" | "work" | "angles";

const { tiles, split, split_subgroup } = pagedShaders(`${bindings}\n${turn}`);

/**
 * `attentionPaged` where pages hold keys without rotary positions: each is turned by its place in the sequence
 * when it is read, by `angles` f32 [positions, channels that turn], as `rope` takes them (Zhao et al. 2024, Atom:
 * keys are quantized before RoPE). Whole eights of channels must turn together.
 */
export const attentionTurned: Kernel<In, "y", AttentionTurnedOptions> = {
  wgsl: { tiles, split, split_subgroup },
  inputs: ["q", "k", "v", "block_table", "spans", "work", "angles"],
  outputs: ["y"],
  plan({ angles, ...inputs }, { neighbours = false, ...options }, limits) {
    const pairs = pairsOf(inputs.q, angles, neighbours);
    // Slices would bind a tensor too many.
    const whole = { ...limits, choices: { ...limits.choices, slices: false } };
    const launch = attentionPaged.plan(inputs, options, whole);
    return {
      ...launch,
      constants: { ...launch.constants, TURNED: true, NEIGHBOURS: neighbours },
      params: { ...launch.params, pairs: { u32: pairs } },
    };
  },
  cpu({ angles: _angles, ...inputs }, { neighbours = false, ...options }, launch) {
    const { pairs } = launch.params;
    const { args, ...rest } = attentionPaged.cpu(inputs, options, launch);
    return {
      ...rest,
      program: "attentionTurned",
      args: { ...args, pairs: pairs!, ...counts({ neighbours: Number(neighbours) }) },
    };
  },
  reference({ angles, ...inputs }, { neighbours = false, ...options }) {
    return { y: attended(inputs, options, (keys) => turnedKeys(keys, angles, neighbours)) };
  },
  cases: [
    turned(heldCase({ queries: 1, keys: 150, heads: 4, kvHeads: 2, size: 64 }, pre(4, 64)), 64),
    turned(heldCase({ queries: 70, heads: 3, kvHeads: 1, size: 64 }, pre(4, 64)), 64),
    turned(heldCase({ queries: 5, keys: 90, heads: 2, kvHeads: 1, size: 80 }, post(4, 40)), 32),
    turned(
      heldCase({ queries: 1, keys: 150, heads: 4, kvHeads: 2, size: 64 }, pre(4, 64), post(4, 64), {
        sinks: 4,
      }),
      64,
    ),
    turned(
      heldCase(
        { queries: 37, keys: 60, heads: 2, kvHeads: 1, size: 80 },
        post(4, 40),
        post(4, 80),
        {
          sinks: 1,
        },
      ),
      48,
      true,
    ),
    turned(
      heldCase({ queries: 34, keys: 70, heads: 4, kvHeads: 2, size: 64 }, none(8, 32)),
      64,
      true,
    ),
    turned(
      heldCase({ queries: 2, keys: 70, heads: 2, kvHeads: 2, size: 80 }, none(16, 80)),
      48,
      true,
    ),
  ],
};

/** Pairs of channels that turn; throws where they are not whole eights of channels. */
function pairsOf(q: TensorSpec, angles: TensorSpec, neighbours: boolean): number {
  const [, , size = 0] = q.shape;
  const turned = angles.shape[1] ?? 0;
  if (angles.shape.length === 2 && turned > 0 && turned <= size && canTurn(turned, neighbours)) {
    return turned / 2;
  }
  throw new RangeError(
    `Cannot turn keys by angles ${describe(angles)}: expected f32[positions, a multiple of ${
      neighbours ? 8 : 16
    } up to ${size}]`,
  );
}

/** Whether so many channels of a key can be turned when it is read. */
export function canTurn(channels: number, neighbours: boolean): boolean {
  return channels % (neighbours ? 8 : 16) === 0;
}

/** Keys f32 [keys, kv heads, head size] turned by their places. */
function turnedKeys(keys: HostTensor, angles: HostTensor, neighbours: boolean): HostTensor {
  const [count = 0, kvHeads = 0, size = 0] = keys.shape;
  const width = angles.shape[1]!;
  const turn = turnedHead(neighbours);
  const data = new Float32Array(keys.data.length);
  for (let at = 0; at < count * kvHeads; at++) {
    const place = Math.floor(at / kvHeads) * width;
    const head = keys.data.subarray(at * size, (at + 1) * size);
    data.set(turn(head, angles.data.subarray(place, place + width)), at * size);
  }
  return f32(keys.shape, data);
}

/** A case whose keys are turned when they are read. */
function turned(one: ReturnType<typeof heldCase>, channels: number, neighbours = false) {
  const positions = PAGE_TOKENS * elements(one.inputs.block_table.shape);
  const angles = lazyTensor(
    { dtype: "f32", shape: [positions, channels] },
    () =>
      Float32Array.from({ length: positions * channels }, (_, i) => {
        const angle = Math.floor(i / channels) * 0.8 ** (i % (channels / 2));
        return i % channels < channels / 2 ? Math.cos(angle) : Math.sin(angle);
      }),
  );
  return { inputs: { ...one.inputs, angles }, options: { ...one.options, neighbours } };
}
