/** Sizes of a model of the Llama kind. */
export interface LlamaSizes {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
}

type Shapes = readonly (readonly [name: string, ...shape: number[]])[];

/**
 * Writes a checkpoint of bfloat16 that is all headers: a shard a layer and one for the tables, each
 * with a hole where its weights would be.
 */
export async function writeSparseLlama(directory: string, sizes: LlamaSizes): Promise<void> {
  const { hidden, inner, layers, heads, kvHeads, vocabulary } = sizes;
  const config = {
    architectures: ["LlamaForCausalLM"],
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocabulary,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  };
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(config));
  const kv = kvHeads * hidden / heads;
  const shards: (readonly [file: string, tensors: Shapes])[] = [
    ["tables.safetensors", [
      ["model.embed_tokens.weight", vocabulary, hidden],
      ["lm_head.weight", vocabulary, hidden],
      ["model.norm.weight", hidden],
    ]],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    shards.push([`layer-${layer}.safetensors`, [
      [`${at}.input_layernorm.weight`, hidden],
      [`${at}.self_attn.q_proj.weight`, hidden, hidden],
      [`${at}.self_attn.k_proj.weight`, kv, hidden],
      [`${at}.self_attn.v_proj.weight`, kv, hidden],
      [`${at}.self_attn.o_proj.weight`, hidden, hidden],
      [`${at}.post_attention_layernorm.weight`, hidden],
      [`${at}.mlp.gate_proj.weight`, inner, hidden],
      [`${at}.mlp.up_proj.weight`, inner, hidden],
      [`${at}.mlp.down_proj.weight`, hidden, inner],
    ]]);
  }
  const places: Record<string, string> = {};
  for (const [file, tensors] of shards) {
    await writeHoles(`${directory}/${file}`, tensors);
    for (const [name] of tensors) places[name] = file;
  }
  const index = JSON.stringify({ weight_map: places });
  await Deno.writeTextFile(`${directory}/model.safetensors.index.json`, index);
}

async function writeHoles(path: string, tensors: Shapes): Promise<void> {
  let end = 0;
  const entries = tensors.map(([name, ...shape]) => {
    const start = end;
    end += 2 * shape.reduce((a, b) => a * b);
    return [name, { dtype: "BF16", shape, data_offsets: [start, end] }];
  });
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const head = new Uint8Array(8 + text.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(text.length), true);
  head.set(text, 8);
  await Deno.writeFile(path, head);
  await Deno.truncate(path, head.length + end);
}
