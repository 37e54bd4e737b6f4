import type { Checkpoint } from "../../formats/checkpoint.ts";
import { FLOAT8, widenTensor } from "../../formats/widen.ts";
import type { LinearOutline } from "../../models/site.ts";
import { statedQuantization } from "../stated_quantization.ts";
import type { StoredWeights, StoredWeightValues } from "./stored_weights.ts";

/** Tensors by which values are multiplied, under the name of the linear; one of them is there. */
const SCALES = ["weight_scale_inv", "weight_scale"] as const;
/** What belongs to inputs, which are not quantized here. */
const INPUT_SCALES = ["input_scale", "input_scale_inv"] as const;

type Stored = Pick<Checkpoint, "config" | "path" | "tensors" | "read" | "readRaw">;

/**
 * Weights in float8 with scales in single precision or bfloat16: one a tensor, a row, or a block, as
 * `quant_method` fp8 (DeepSeek-V3, technical report section 3.3), fbgemm_fp8, modelopt and
 * compressed-tensors' `float-quantized` publish them.
 */
export function float8Weights(
  checkpoint: Stored,
  linears: readonly LinearOutline[],
): StoredWeights | undefined {
  const { tensors, path } = checkpoint;
  const stored = linears.filter(({ weight }) => FLOAT8[tensors.get(weight)?.dtype ?? ""]);
  if (stored.length === 0) return undefined;
  const there = (names: readonly string[]) => names.filter((name) => tensors.has(name));
  const quantization = statedQuantization(checkpoint);
  for (const key of ["sparsity_config", "transform_config"]) {
    if (Object.keys(Object(quantization?.[key])).length === 0) continue;
    throw new TypeError(
      `Cannot load "${path}": its quantization_config has a ${key}, expected none beside float8`,
    );
  }
  const weights = stored.map((linear) => {
    const [scale] = there(SCALES.map((part) => `${linear.name}.${part}`));
    if (scale !== undefined) {
      return [linear.weight, scaledWeight(checkpoint, linear, scale)] as const;
    }
    throw new TypeError(
      `Cannot load "${path}": its "${linear.weight}" is float8 without a scale, expected "${linear.name}.weight_scale"`,
    );
  });
  const beside = (parts: readonly string[]) =>
    there(stored.flatMap(({ name }) => parts.map((part) => `${name}.${part}`)));
  return {
    weights: new Map(weights),
    beside: beside([...SCALES, ...INPUT_SCALES]),
    note:
      `${stored.length} linears hold float8; their weights are read as values times scales, and ` +
      `their inputs are not quantized`,
  };
}

function scaledWeight(
  checkpoint: Stored,
  { weight, rows, columns }: LinearOutline,
  scale: string,
): StoredWeightValues {
  const [down, across] = blockOf(checkpoint, { weight, scale });
  return {
    shape: [rows, columns],
    async open() {
      const scales = await checkpoint.read(scale);
      const perRow = Math.ceil(columns / across);
      return async (range) => {
        const raw = await checkpoint.readRaw(weight, range);
        const values = widenTensor(raw, checkpoint.tensors.get(weight)!, FLOAT8);
        let at = 0;
        for (let row = range.start; row < range.end; row++) {
          const first = Math.floor(row / down) * perRow;
          for (let block = 0; block < perRow; block++) {
            const scale = scales[first + block]!;
            const end = at + Math.min(across, columns - block * across);
            while (at < end) values[at++]! *= scale;
          }
        }
        return values;
      };
    },
  };
}

/** Rows and columns that share a scale; throws where the shape of the scales does not tell. */
function blockOf(
  checkpoint: Stored,
  { weight, scale }: { readonly weight: string; readonly scale: string },
): readonly [rows: number, columns: number] {
  const [rows = 0, columns = 0] = checkpoint.tensors.get(weight)!.shape;
  const { shape } = checkpoint.tensors.get(scale)!;
  const [down = 1, across = 1] = shape;
  const stated = statedBlock(checkpoint);
  if (stated && Math.ceil(rows / stated[0]) === down && Math.ceil(columns / stated[1]) === across) {
    return stated;
  }
  if (shape.length <= 2 && rows % down === 0 && columns % across === 0) {
    return [rows / down, columns / across];
  }
  throw new RangeError(
    `Cannot read tensor "${scale}" of "${checkpoint.path}": it is [${
      shape.join(", ")
    }], expected a scale for all, for each of ${rows} rows, or for equal blocks of [${rows}, ${columns}]`,
  );
}

/** The block that `quantization_config` states, as DeepSeek and compressed-tensors write it. */
function statedBlock(checkpoint: Stored): readonly [number, number] | undefined {
  const stated = statedQuantization(checkpoint);
  const groups = Object.values(Object(stated?.config_groups)) as {
    readonly weights?: { readonly block_structure?: unknown } | null;
  }[];
  const block = stated?.weight_block_size ?? groups[0]?.weights?.block_structure;
  const whole = Array.isArray(block) && block.length === 2 &&
    block.every((size) => Number.isInteger(size) && size > 0);
  return whole ? block as [number, number] : undefined;
}
