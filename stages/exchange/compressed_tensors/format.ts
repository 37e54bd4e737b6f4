import { INPUT_CODES, scaleOf } from "../../../kernels/codes/quantizer.ts";
import { type BesideTensor, checkpointFormat } from "../checkpoint_format.ts";
import { claimIn } from "./claims.ts";
import { quantizationConfig } from "./config.ts";
import { compressedTensorsEngines } from "./engines.ts";
import { layoutParts, readableParts, writtenLayout } from "./layout.ts";
import { packTensor } from "./pack.ts";
import { readStoredLinears } from "./precision.ts";
import { refusedCompressedTensors } from "./refusals.ts";
import { unpackTensors } from "./unpack.ts";
import type { Subject } from "../subject.ts";

/**
 * Checkpoints of the compressed-tensors library, `pack-quantized` and `int-quantized`.
 *
 * Two levels become one scale a group, and are found again where scales are exact products.
 */
export const compressed_tensors = checkpointFormat({
  name: "compressed_tensors",
  about: "Integer weights of 2 to 8 bits, with 8-bit inputs or without, which vLLM reads.",
  source: "compressed-tensors 0.20, as vLLM 0.33 loads it",
  refusals: (subject) => [...refusedCompressedTensors(subject)],
  engines: compressedTensorsEngines,
  recognizes: ({ config }) => claimIn(config) !== undefined,
  parts: (linear) => layoutParts(linear, writtenLayout(linear.scheme)),
  *pack(weight, part) {
    yield packTensor(weight, part);
  },
  config: (subject, json) => ({ ...json, quantization_config: quantizationConfig(subject) }),
  beside: inputScales,
  async precision(checkpoint) {
    const stored = await readStoredLinears(checkpoint);
    const layoutOf = (name: string) => stored.get(name)!.layout;
    return {
      linears: Object.fromEntries([...stored].map(([name, { scheme }]) => [name, scheme])),
      kv: [],
      parts: (linear) => readableParts(linear, layoutOf(linear.name)),
      unpack: (linear, parts) => unpackTensors(linear, parts, layoutOf(linear.name)),
    };
  },
  unpack: (linear, parts) => unpackTensors(linear, parts, writtenLayout(linear.scheme)),
});

/** Scales of inputs under one range for all tokens. */
function inputScales({ linears }: Pick<Subject, "linears">): BesideTensor[] {
  return linears.flatMap(({ name, scheme }) => {
    const range = scheme?.inputs?.range;
    if (typeof range !== "number") return [];
    const values = Float32Array.of(scaleOf(range, INPUT_CODES.high, "f16"));
    return [{ name: `${name}.input_scale`, dtype: "F32", shape: [1], values }];
  });
}
