import { INPUT_CODES, scaleOf } from "../../../kernels/codes/quantizer.ts";
import { type BesideTensor, checkpointFormat } from "../checkpoint_format.ts";
import { claimIn, claimsFloat8 } from "./claims.ts";
import { quantizationConfig } from "./config.ts";
import { compressedTensorsEngines } from "./engines.ts";
import { layoutParts, readableParts, writtenLayout } from "./layout.ts";
import { packTensor } from "./pack.ts";
import { readStoredLinears } from "./precision.ts";
import { unpackTensors } from "./unpack.ts";
import { codedByWeight, type CodedLinear, type Subject } from "../subject.ts";
import { plainBytes, weightWords } from "../../quant/schemes.ts";
import { inputWords } from "../../models/model_record.ts";
import { modelRefusal, type Refusal } from "../format.ts";
import { refusedKv, refusedTransforms } from "../precision_refusals.ts";

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
  recognizes: ({ config }) => claimIn(config) !== undefined && !claimsFloat8(config),
  parts: (linear) => layoutParts(linear, writtenLayout(linear.scheme)),
  *pack(weight, part) {
    yield packTensor(weight, part);
  },
  config: (subject, json) => ({ ...json, quantization_config: quantizationConfig(subject) }),
  beside: inputScales,
  codesHead: true,
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
function inputScales(subject: Pick<Subject, "linears" | "codedHead">): BesideTensor[] {
  return [...codedByWeight(subject).values()].flatMap(({ name, scheme }) => {
    const range = scheme.inputs?.range;
    if (typeof range !== "number") return [];
    const values = Float32Array.of(scaleOf(range, INPUT_CODES.high, "f16"));
    return [{ name: `${name}.input_scale`, dtype: "F32", shape: [1], values }];
  });
}

/** Why compressed-tensors, as vLLM reads it, cannot hold a model. */
function* refusedCompressedTensors(subject: Subject): Generator<Refusal> {
  const linears = [...codedByWeight(subject).values()];
  const first = (test: (linear: CodedLinear) => boolean | undefined) => {
    const [found, ...more] = linears.filter(test);
    return found && `${found.name}${more.length > 0 ? ` and ${more.length} other linears` : ""}`;
  };
  if (linears.length === 0) {
    yield modelRefusal("none of its linears is quantized, expected some");
  }
  const shifted = linears.find(({ scheme }) => scheme.weights.zero === "post_scale");
  if (shifted) {
    yield modelRefusal(
      `${
        first(({ scheme }) => scheme.weights.zero === "post_scale")
      } have zeros behind the scale (${
        weightWords(shifted.scheme.weights)
      }), expected integers among the codes; quantize with zero pre_scale or none`,
    );
  }
  const fixed = first(({ scheme }) =>
    typeof scheme.inputs?.range === "number" && scheme.weights.bits < 8
  );
  if (fixed) {
    yield {
      what: "activations",
      text:
        `${fixed} take inputs of a static range beside less than 8 bits, expected a scale a token: vLLM has nothing else there`,
    };
  }
  const unsigned = first(({ scheme }) =>
    scheme.inputs && scheme.weights.bits === 8 && scheme.weights.zero !== "none"
  );
  if (unsigned) {
    yield {
      what: "activations",
      text: `${unsigned} have 8-bit weights with zeros beside 8-bit inputs, expected zero none`,
    };
  }
  const other = linears.find(({ scheme }) => scheme.inputs && !plainBytes(scheme.inputs));
  if (other) {
    yield {
      what: "activations",
      text: `${first(({ scheme }) => scheme.inputs && !plainBytes(scheme.inputs))} take inputs of ${
        inputWords(other.scheme.inputs)
      }, expected 8 bits that are not clipped`,
    };
  }
  yield* refusedKv(subject, "integer weights in vLLM");
  yield* refusedTransforms(subject);
}
