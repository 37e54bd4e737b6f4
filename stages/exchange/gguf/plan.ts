import { DTYPES } from "../../formats/half.ts";
import { ggufName, ROPE_FACTORS } from "../../formats/gguf/names.ts";
import type { CodeType } from "../../formats/gguf/ggml_codes.ts";
import type { GgufSpecification } from "../../formats/gguf/writer.ts";
import { groupColumns, plainScheme, type WeightScheme, weightWords } from "../../quant/schemes.ts";
import { type FormatOptions, modelRefusal, type Refusal } from "../format.ts";
import { refusedPrecision } from "../precision_refusals.ts";
import { GGUF_CLASSES } from "../../models/open_checkpoint.ts";
import type { StoredLinear } from "../../models/linear.ts";
import type { Subject } from "../subject.ts";

/** Values that share a scale in every type of ggml that codes can be put into. */
const BLOCK = 32;

/** Options that decide types. */
type Options = Pick<FormatOptions, "dtype" | "type">;

/** A tensor of a GGUF file and where its values come from. */
export interface GgufTensorPlan extends GgufSpecification {
  /** Its name in transformers; none for the rotary factors. */
  readonly from: string | undefined;
  /** The linear, where its codes are what is written. */
  readonly linear: StoredLinear | undefined;
}

/** The tensors of a GGUF file: linears by their codes, vectors in single precision. */
export function planTensors(subject: Subject, options: Options): GgufTensorPlan[] {
  const { parts = {} } = subject.family.gguf ?? {};
  const linears = new Map(subject.linears.map((linear) => [linear.weight, linear]));
  const plans = [...subject.tensors].map(([from, shape]): GgufTensorPlan => {
    const linear = linears.get(from);
    const type = shape.length === 1
      ? "F32"
      : linear
      ? linearType(linear, options)
      : DTYPES[options.dtype];
    return {
      name: ggufName(from, { parts })!,
      shape,
      type,
      from,
      linear: linear?.scheme ? linear : undefined,
    };
  });
  if (subject.config.ropeScaling.type !== "llama3") return plans;
  const shape = [subject.config.headSize / 2];
  return [...plans, { name: ROPE_FACTORS, shape, type: "F32", from: undefined, linear: undefined }];
}

/** The type of a linear's weight: what was asked for, else what holds its codes exactly. */
function linearType({ scheme, columns }: StoredLinear, { dtype, type }: Options): string {
  if (scheme) return type ?? typesOf(scheme.weights)[0] ?? "F16";
  // Rows that are no whole blocks stay as they are.
  return type && (type === "F16" || columns % BLOCK === 0) ? type : DTYPES[dtype];
}

/**
 * The types whose blocks hold codes of a scheme, the smallest exact one first.
 *
 * Zeros before the scale become differences in `Q8_0`; `Q4_1`, where asked for, rounds zero times
 * scale to half precision.
 */
export function typesOf(scheme: WeightScheme): readonly CodeType[] {
  const { bits, zero } = plainScheme(scheme);
  if (bits === 8) return zero === "none" ? ["Q8_0"] : [];
  if (zero === "none") return ["Q4_0", "Q8_0"];
  return zero === "post_scale" ? ["Q4_1"] : ["Q8_0", "Q4_1"];
}

/** Every reason why a GGUF file for llama.cpp cannot hold a model. */
export function* ggufRefusals(subject: Subject, { type }: Options): Generator<Refusal> {
  const { name, family: { gguf: known }, config, linears } = subject;
  if (known === undefined) {
    yield modelRefusal(
      `how llama.cpp holds a ${name} is not known here, expected one of ${
        [...new Set(GGUF_CLASSES.map((each) => each.name))].join(", ")
      }`,
    );
  }
  if (known?.ownHeadSize === false && config.heads * config.headSize !== config.hidden) {
    yield modelRefusal(
      `its ${config.heads} heads of ${config.headSize} do not make up the ${config.hidden} channels, expected them to in a ${known.architecture} of llama.cpp`,
    );
  }
  yield* refusedPrecision(subject, "GGUF weights");
  for (const { name, scheme, columns } of linears) {
    if (!scheme || type === "F16") continue;
    const { weights } = scheme;
    const words = weightWords(weights);
    const types = typesOf(weights);
    const group = groupColumns(plainScheme(weights), columns);
    if (types.length === 0) {
      yield modelRefusal(`${name} has ${words}, expected at most 4 bits or none for zero`);
    } else if (group % BLOCK !== 0) {
      yield modelRefusal(
        `${name} has ${words}: ${group} inputs share a scale, expected a multiple of ${BLOCK}`,
      );
    } else if (type && !types.includes(type)) {
      yield modelRefusal(
        `${name} has ${words}, which ${type} does not hold, expected type ${types.join(" or ")}`,
      );
    }
  }
}
