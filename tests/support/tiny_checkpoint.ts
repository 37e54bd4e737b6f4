import {
  type SafetensorsDType,
  tensorBytes,
  type TensorSpecification,
} from "../../stages/formats/safetensors/header.ts";
import { SafetensorsWriter } from "../../stages/formats/safetensors/writer.ts";
import { architectureOf } from "../../stages/models/architecture.ts";

/** A decoder small enough to count by hand: linears of 16 by 16, 8 by 16, 32 by 16 and 16 by 32. */
export const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  vocab_size: 24,
  tie_word_embeddings: false,
};

/** Shape of a weight. */
export type Shape = readonly [outputs: number, inputs: number];
/** Element type and shape of a tensor. */
export type Kind = Omit<TensorSpecification, "name">;

/** Writes a plain checkpoint of the small decoder, with other tensors or values where asked. */
export async function writeModel(
  directory: string,
  { config = CONFIG, edit, fill = (_, values) => void values.fill(1) }: {
    readonly config?: Readonly<Record<string, unknown>>;
    edit?(tensors: Map<string, Kind>): void;
    fill?(name: string, values: Float16Array): void;
  },
): Promise<void> {
  const { tensors: shapes } = architectureOf(CONFIG);
  const tensors = new Map<string, Kind>(
    [...shapes].map(([name, shape]) => [name, { dtype: "F16", shape }]),
  );
  edit?.(tensors);
  const specifications = [...tensors].map(([name, kind]) => ({ name, ...kind }));
  using writer = await SafetensorsWriter.create(`${directory}/model.safetensors`, specifications);
  for (const { name, dtype, shape } of specifications) {
    const bytes = new Uint8Array(tensorBytes({ dtype, shape }));
    if (dtype === "F16") fill(name, new Float16Array(bytes.buffer));
    await writer.write(name, bytes);
  }
  await writer.close();
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(config));
}

/** A model artifact of which q_proj is quantized: in layer 0 with two levels, in layer 1 by rows. */
export async function writePacked(
  directory: string,
  edit?: (tensors: Map<string, Kind>) => void,
): Promise<void> {
  const [first, second] = [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj`);
  const kind = (dtype: SafetensorsDType, ...shape: readonly number[]): Kind => ({ dtype, shape });
  await writeModel(directory, {
    edit: (tensors) => {
      tensors.delete(`${first}.weight`);
      tensors.delete(`${second}.weight`);
      tensors.set(`${first}.codes`, kind("U32", 16, 2));
      tensors.set(`${first}.scales`, kind("F16", 16, 1));
      tensors.set(`${first}.group_scales`, kind("U8", 16, 2));
      tensors.set(`${first}.group_zeros`, kind("I8", 16, 2));
      tensors.set(`${second}.codes`, kind("U32", 16, 4));
      tensors.set(`${second}.scales`, kind("F16", 16, 1));
      edit?.(tensors);
    },
  });
  const kv = { bits: 4, zero: "post_scale", group: 8 };
  const record = {
    version: 1,
    history: [{ stage: "rotate", params: { seed: 1, transforms: ["out_proj", "down_proj"] } }],
    lineage: [],
    hadamard: ["mlp.out"],
    linears: {
      [first!]: {
        weights: { bits: 4, zero: "post_scale", group: 8, levels: 2 },
        inputs: { bits: 8, range: "dynamic" },
      },
      [second!]: {
        weights: { bits: 8, zero: "none", group: "row", levels: 1 },
        inputs: { bits: 8, range: 3 },
      },
    },
    kv: [
      { key: kv, value: { bits: 8, zero: "none", group: 8, range: 2.5 } },
      { key: { ...kv, clip: 0.9 }, value: { bits: 16, zero: "none", group: 8 } },
    ],
    measured: {
      linears: {
        [first!]: { method: "gptq", weightError: 0.02, outputError: 0.001 },
        [second!]: { method: "rtn", weightError: 0.04 },
      },
      kv: [0.01, 0.02],
    },
  };
  await Deno.writeTextFile(`${directory}/model.json`, JSON.stringify(record));
}
