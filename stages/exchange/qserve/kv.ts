import { fixedScale, type KvScheme } from "../../../kernels/codes/kv_scheme.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { BesideTensor } from "../checkpoint_format.ts";
import type { Refusal } from "../format.ts";
import { readPart } from "../part_values.ts";
import { moduleOf } from "../../models/site.ts";
import type { Subject } from "../subject.ts";

/** How the engine keeps keys and values; its own choice where the model says nothing. */
export interface QserveKv {
  readonly bits: 4 | 8;
  /** `fine_grained`: a scale a token and head; `per_tensor`: one fixed beforehand. */
  readonly granularity: "fine_grained" | "per_tensor";
}

type LayerKv = Subject["record"]["kv"][number];

/** The part of a layer's name before its KV scales. */
const SCALES = "kv_scale_quant_orig";
/** Codes are -127 to 127 under a fixed scale. */
const LARGEST_CODE = 127;

/** What the engine is told of the KV cache. */
export function qserveKv({ record: { kv: [first] } }: Pick<Subject, "record">): QserveKv {
  if (!first) return { bits: 8, granularity: "fine_grained" };
  return {
    bits: first.key.bits === 4 ? 4 : 8,
    granularity: first.key.range === undefined ? "fine_grained" : "per_tensor",
  };
}

/** Why the engine cannot keep keys and values as a model asks for, a reason for each kind of it. */
export function* refusedQserveKv(
  { record: { kv }, config: { headSize } }: Pick<Subject, "record" | "config">,
): Generator<Refusal> {
  const [first] = kv;
  if (!first) return;
  if (first.sinks !== undefined) {
    yield {
      what: "kv",
      text:
        `the first ${first.sinks} tokens of a sequence stay in half precision, expected codes of all`,
    };
  }
  for (const [layer, schemes] of kv.entries()) {
    for (const what of ["key", "value"] as const) {
      const changed = what === "key" &&
        (schemes.rotatedKeys || schemes.keyCenter || schemes.keysBeforeRope);
      const problem = what === "key" && schemes.keyCompensation !== undefined
        ? "whose codes make up for those before them, expected each rounded by itself"
        : changed
        ? "that are rotated or centered before they get codes, expected them as the model has them"
        : kvProblem(schemes[what], headSize);
      if (!problem) continue;
      yield { what: "kv", text: `layer ${layer} has ${what}s ${problem}` };
      return;
    }
    if (kindOf(schemes.key) === kindOf(first.key) && kindOf(schemes.value) === kindOf(first.key)) {
      continue;
    }
    yield {
      what: "kv",
      text: `layer ${layer} has keys of ${kindOf(schemes.key)} and values of ${
        kindOf(schemes.value)
      }, expected ${kindOf(first.key)} as in layer 0: one flag is for all layers`,
    };
    return;
  }
}

function kindOf({ bits, range }: KvScheme): string {
  return `${bits} bits, ${range === undefined ? "dynamic" : "static"}`;
}

function kvProblem(
  { bits, zero, group, range, clip, fit }: KvScheme,
  headSize: number,
): string | undefined {
  if (bits === 16) return "in full precision, expected 4 or 8 bits";
  if (range !== undefined) {
    return bits === 8 && zero === "none"
      ? undefined
      : `of ${bits} bits with zero ${zero} under a static range, expected 8 bits with zero none`;
  }
  if (group !== headSize) return `in groups of ${group}, expected a scale a head of ${headSize}`;
  if (fit) return "with ranges that are fitted, expected the whole range";
  if ((clip ?? 1) !== 1) return `clipped to ${clip} of their range, expected the whole range`;
  if (zero !== "none") return undefined;
  return "without a zero point, expected one: dynamic scales come with zeros";
}

/** The scales of a static KV cache: what codes of keys and values are multiplied by, a layer each. */
export function kvScaleTensors(
  { record: { kv }, layers }: Pick<Subject, "record" | "layers">,
): BesideTensor[] {
  return kv.flatMap(({ key, value }, layer): BesideTensor[] =>
    key.range === undefined ? [] : [{
      name: kvScaleName(layers[layer]!),
      dtype: "F32",
      shape: [2],
      values: Float32Array.of(fixedScale(key), fixedScale(value)),
    }]
  );
}

/** The KV cache of a checkpoint with static scales, a layer each; undefined where it has none. */
export async function readKvScales(
  checkpoint: Checkpoint,
  { layers, config: { headSize } }: Pick<Subject, "layers" | "config">,
): Promise<readonly LayerKv[] | undefined> {
  const names = layers.map(kvScaleName);
  if (!names.some((name) => checkpoint.tensors.has(name))) return undefined;
  const schemes: LayerKv[] = [];
  for (const name of names) {
    const scales = await readPart(checkpoint, name);
    const [key, value] = [0, 1].map((at): KvScheme => {
      const scale = Math.f16round(Number(scales?.[at] ?? NaN));
      if (!(scale > 0 && scale < Infinity)) {
        throw new RangeError(
          `Cannot read "${checkpoint.path}" as qserve: tensor "${name}" is ${
            scales ? `[${[...scales].join(", ")}]` : "missing"
          }, expected two positive scales, as in every layer of a static KV cache`,
        );
      }
      return { bits: 8, zero: "none", group: headSize, range: scale * LARGEST_CODE };
    });
    schemes.push({ key: key!, value: value! });
  }
  return schemes;
}

/** They stand beside the linears of attention. */
function kvScaleName(layer: Subject["layers"][number]): string {
  return `${moduleOf(layer.linear("o").name)}.${SCALES}`;
}
