import { fileURLToPath } from "node:url";
import type { Artifact } from "../../pipeline/artifact.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { architectureOf } from "../../stages/models/architecture.ts";
import { normalSource } from "./random.ts";
import { FAMILIES } from "./stage_chain.ts";

const FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));

/** Sizes that the packing of every format divides: multiples of 128 where weights are grouped. */
const SIZES = {
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 64,
  // Of Gemma, where others have the head size.
  query_pre_attn_scalar: 64,
  moe_intermediate_size: 128,
  shared_expert_intermediate_size: 256,
};

/** The families of `testdata/families` in sizes that formats of other programs can pack. */
export const SHAPED = FAMILIES;

/** Whether the layers of a family in such sizes hold the same tensors. */
export async function hasLikeLayers(family: string): Promise<boolean> {
  const { layers } = architectureOf(await shapedConfig(family, SIZES.num_hidden_layers));
  const forms = layers.map(({ index, tensors }) =>
    [...tensors].map(([name, shape]) => `${name.replace(`.${index}.`, ".")} ${shape}`).join()
  );
  return new Set(forms).size === 1;
}

/** Writes a random model of a family in such sizes, in single precision. */
export async function writeShaped(
  family: string,
  directory: string,
  layers = SIZES.num_hidden_layers,
): Promise<Artifact<"model">> {
  const json = await shapedConfig(family, layers);
  const specifications = [...architectureOf(json).tensors].map(([name, shape]) =>
    ({ name, dtype: "F32", shape }) as const
  );
  const next = normalSource(family);
  using writer = await createCheckpointWriter(directory, specifications);
  for (const { name, shape } of specifications) {
    const size = shape.reduce((product, each) => product * each, 1);
    const middle = shape.length === 1 && !name.endsWith(".bias") ? 1 : 0;
    // Half precision, so that formats which keep that lose nothing.
    const halves = new Float16Array(size);
    for (let i = 0; i < size; i++) halves[i] = Math.fround(middle + 0.1 * next());
    await writer.write(name, bytesOf(new Float32Array(halves)));
  }
  await writer.close();
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(json));
  return {
    kind: "model",
    key: family,
    digest: `content of ${family}`,
    path: directory,
    scores: {},
  };
}

async function shapedConfig(family: string, layers: number) {
  const json = {
    ...JSON.parse(await Deno.readTextFile(`${FOLDER}/${family}/config.json`)),
    ...SIZES,
    num_hidden_layers: layers,
  };
  stretchFactors(json);
  if (json.layer_types) json.layer_types = json.layer_types.slice(0, layers);
  return json;
}

/** Gives each pair of channels of a wider head a factor of LongRoPE. */
function stretchFactors(json: Readonly<Record<string, unknown>>): void {
  const rope = (json.rope_parameters ?? json.rope_scaling ?? {}) as Record<string, unknown>;
  const share = rope.partial_rotary_factor ?? json.partial_rotary_factor ?? 1;
  const length = SIZES.head_dim * (share as number) / 2;
  for (const key of ["short_factor", "long_factor"]) {
    const factors = rope[key] as readonly number[] | undefined;
    if (!factors) continue;
    rope[key] = Array.from({ length }, (_, i) => factors[i % factors.length]);
  }
}
