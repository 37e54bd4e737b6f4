import {
  type Llama3,
  LLAMA3_KEYS,
  llama3Factors,
  ownAttention,
  ROPE_TENSORS,
} from "../../formats/gguf/rope.ts";
import type { GgufEntries } from "../../formats/gguf/encoding.ts";
import type { GgufClass, GgufWindows } from "../../formats/gguf/model_class.ts";
import type { Rope } from "../../models/rope.ts";
import { modelRefusal, type Refusal } from "../format.ts";
import type { Subject } from "../subject.ts";

/** The turns that llama.cpp takes for YaRN whatever a file says. */
const BETAS = { fast: 32, slow: 1 };

/** What a GGUF file says of a model's rotary embedding: as llama.cpp reads it, then as we do. */
export function ropeEntries(
  { channels, theta, scaling }: Rope,
  architecture: string,
): GgufEntries {
  const key = (name: string) => `${architecture}.rope.${name}`;
  const plain: GgufEntries = {
    [key("dimension_count")]: { u32: channels },
    [key("freq_base")]: { f32: theta },
  };
  if (scaling.type === "linear") {
    return {
      ...plain,
      [key("scaling.type")]: { text: "linear" },
      [key("scaling.factor")]: { f32: scaling.factor },
    };
  }
  if (scaling.type === "yarn") {
    const { factor, attention, originalPositions } = scaling;
    const more = Math.fround(attention / ownAttention(factor));
    return {
      ...plain,
      [key("scaling.type")]: { text: "yarn" },
      [key("scaling.factor")]: { f32: factor },
      [key("scaling.original_context_length")]: { u32: originalPositions },
      ...more !== 1 && { [key("scaling.attn_factor")]: { f32: more } },
    };
  }
  if (scaling.type === "longrope") {
    return {
      ...plain,
      [key("scaling.type")]: { text: "longrope" },
      [key("scaling.original_context_length")]: { u32: scaling.originalPositions },
      [key("scaling.attn_factor")]: { f32: scaling.attention },
    };
  }
  const llama3 = llama3Of({ channels, theta, scaling });
  if (!llama3) return plain;
  const own = Object.entries(LLAMA3_KEYS)
    .map(([key, path]) => [path, { f32: llama3[key as keyof Llama3] }] as const);
  return { ...plain, ...Object.fromEntries(own) };
}

/** Values of the tensors that rotary frequencies are divided by, by their names. */
export function ropeTensors(rope: Rope): ReadonlyMap<string, Float32Array<ArrayBuffer>> {
  const { scaling } = rope;
  if (scaling.type === "longrope") {
    return new Map([
      [ROPE_TENSORS.long, Float32Array.from(scaling.long)],
      [ROPE_TENSORS.short, Float32Array.from(scaling.short)],
    ]);
  }
  const llama3 = llama3Of(rope);
  return new Map(llama3 ? [[ROPE_TENSORS.all, llama3Factors(llama3, rope)]] : []);
}

/** Why llama.cpp would turn queries and keys otherwise than the model does. */
export function* refusedRope(
  { name, family: { gguf: known }, config }: Subject,
): Generator<Refusal> {
  const [rope, ...more] = config.ropes;
  if (!known || !rope) return;
  const { windows } = known;
  if (windows?.theta !== undefined) yield* refusedWindowRopes(config, known);
  const others = windows?.theta === undefined ? more : [];
  const turns = others.filter(({ scaling }) => scaling.type !== "none");
  const { still = () => false } = known;
  const odd = config.ropeOf.findIndex((at, layer) =>
    (config.ropes[at]!.scaling.type === "none") !== still(layer)
  );
  if (turns.length === 0 && odd >= 0) {
    yield modelRefusal(
      `layer ${odd} turns ${still(odd) ? "" : "no "}queries and keys, expected it ${
        still(odd) ? "not to" : "to"
      } in a ${known.architecture} of llama.cpp`,
    );
  }
  if (turns.length > 0) {
    yield modelRefusal(
      `its layers have ${config.ropes.length} rotary embeddings, expected one in a ${known.architecture} of llama.cpp`,
    );
  }
  const { channels, scaling } = rope;
  if (channels < config.headSize && !known.partialRotary) {
    yield modelRefusal(
      `${channels} of ${config.headSize} channels of its heads turn, expected all in a ${known.architecture} of llama.cpp`,
    );
  }
  if (scaling.type === "dynamic") {
    yield modelRefusal(
      "its rotary positions are scaled by the length of a sequence (dynamic), expected a scaling that llama.cpp has: linear, yarn, longrope or llama3",
    );
  }
  if (ropeTensors(rope).size > 0 && !known.ropeDivisors) {
    yield modelRefusal(
      `its rotary positions are scaled (${scaling.type}), which llama.cpp does not read for ${name}, expected none, linear or yarn`,
    );
  }
  if (scaling.type !== "yarn") return;
  const { betaFast, betaSlow, truncate } = scaling;
  if (betaFast !== BETAS.fast || betaSlow !== BETAS.slow || !truncate) {
    yield modelRefusal(
      `YaRN has beta_fast ${betaFast}, beta_slow ${betaSlow}${
        truncate ? "" : " and no whole bounds (truncate)"
      }, expected ${BETAS.fast} and ${BETAS.slow}: llama.cpp takes no others`,
    );
  }
}

/** Whether all keys are attended to in a layer of a class that has windows. */
export function isFull(layer: number, { period }: GgufWindows): boolean {
  return (layer + 1) % period === 0;
}

/** Why layers with a window, or those without, would turn queries and keys otherwise than the model does. */
function* refusedWindowRopes(
  { ropes, ropeOf, headSize }: Subject["config"],
  { architecture, windows }: GgufClass,
): Generator<Refusal> {
  const { period, theta } = windows!;
  const odd = ropeOf.findIndex((at, layer) => {
    if (isFull(layer, windows!)) return at !== 0;
    const { scaling, channels, theta: own } = ropes[at]!;
    return own !== theta || scaling.type !== "default" || channels !== headSize;
  });
  if (odd < 0) return;
  const { theta: own, scaling } = ropes[ropeOf[odd]!]!;
  yield modelRefusal(
    `layer ${odd} has rotary positions of theta ${own} scaled by "${scaling.type}", expected ${
      isFull(odd, windows!) ? "those of all full layers" : `theta ${theta}, unscaled`
    } in a ${architecture} of llama.cpp, which is full in every layer behind ${period - 1} others`,
  );
}

/** llama3 scaling in the words of `config.json`. */
function llama3Of({ scaling }: Rope): Llama3 | undefined {
  if (scaling.type !== "llama3") return undefined;
  return {
    factor: scaling.factor,
    low_freq_factor: scaling.lowFrequencyFactor,
    high_freq_factor: scaling.highFrequencyFactor,
    original_max_position_embeddings: scaling.originalPositions,
  };
}
