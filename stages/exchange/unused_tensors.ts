import type { Checkpoint } from "../formats/checkpoint.ts";
import { list } from "../formats/safetensors/found_files.ts";
import { architectureOf } from "../models/architecture.ts";
import { layoutsOf } from "../models/find_family.ts";
import type { Architecture } from "../models/family.ts";

/** Tensors that programs store though they follow from the config, by how their names end. */
const IDLE =
  /\.(rotary_emb\.(inv_freq|original_inv_freq|cos_cached|sin_cached)|masked_bias|position_ids)$/;

/** Whether a tensor of this name changes nothing in any model. */
export function isIdle(name: string): boolean {
  return IDLE.test(name);
}

/** Keys of `config.json` by which families here have biases. */
const BIASES = ["attention_bias", "mlp_bias"] as const;

/** Of tensors that nothing reads, those that change something: all but biases of zeros. */
export async function withoutZeroBiases(
  { tensors, read }: Pick<Checkpoint, "tensors" | "read">,
  unused: readonly string[],
): Promise<string[]> {
  const left: string[] = [];
  for (const name of unused) {
    const { dtype = "", shape = [] } = tensors.get(name) ?? {};
    const bias = name.endsWith(".bias") && shape.length === 1 && /^(F32|F16|BF16)$/.test(dtype);
    if (!bias || (await read(name)).some((value) => value !== 0)) left.push(name);
  }
  return left;
}

/** A config that has the biases of these names, as far as its family has keys for them; itself without any. */
export function withBiases(config: unknown, names: readonly string[]): unknown {
  const json = config as Record<string, unknown>;
  const keys = BIASES.filter((key) => {
    const { tensors } = architectureOf({ ...json, [key]: true });
    return json[key] !== true && names.some((name) => tensors.has(name));
  });
  if (keys.length === 0) return config;
  return { ...json, ...Object.fromEntries(keys.map((key) => [key, true])) };
}

/** A reason why tensors are there that nothing reads. */
interface Reason {
  /** Whether it is that of a tensor of this name. */
  is(name: string): boolean;
  /** What it says behind their names. */
  words(names: readonly string[]): string;
}

/** Says of tensors that nothing reads what they are and what would help, a sentence a reason. */
export function explainUnused(
  unused: readonly string[],
  architecture: Architecture,
): readonly string[] {
  if (unused.length === 0) return [];
  const left = new Set(unused);
  return reasonsFor(architecture, left).flatMap(({ is, words }) => {
    const names = [...left].filter(is);
    for (const name of names) left.delete(name);
    const verb = names.length > 1 ? "are" : "is";
    return names.length === 0 ? [] : [`${list(names)} ${verb} ${words(names)}`];
  });
}

function reasonsFor(
  { json, name: own, config: { layers }, tensors: known }: Architecture,
  unused: ReadonlySet<string>,
): readonly Reason[] {
  const biased = architectureOf({ ...json, attention_bias: true, mlp_bias: true });
  // Of several families that have a tensor, the one that lacks least of what is there is nearest.
  const others = layoutsOf(json).filter(([name]) => name !== own)
    .map(([name, layout]) => {
      const all = [...layout.tensors.keys()];
      return [
        name,
        layout,
        all.filter((one) => !known.has(one) && !unused.has(one)).length,
      ] as const;
    })
    .sort(([, , a], [, , b]) => a - b);
  const owner = (tensor: string) => others.find(([, { tensors }]) => tensors.has(tensor))?.[0];
  const layerOf = (name: string) => Number(/\blayers\.(\d+)\./.exec(name)?.[1] ?? -1);
  return [
    {
      is: (name) => /lora_|\.(base_layer|modules_to_save|ia3_l|adapter\w*)\./.test(name),
      words: () =>
        "of an adapter, expected none; merge the adapter first (merge_and_unload() in peft)",
    },
    {
      is: (name) => layerOf(name) >= layers,
      words: () => `of more layers than num_hidden_layers in config.json, expected ${layers}`,
    },
    {
      is: (name) => name.endsWith(".bias") && biased.tensors.has(name),
      words: () =>
        "of biases that config.json denies, expected none; set use_biases to true if the model has them",
    },
    {
      is: (name) => owner(name) !== undefined,
      words: (names) => {
        const owners = [...new Set(names.flatMap((name) => owner(name) ?? []))].join(" or ");
        return `what ${owners} has, expected what ${own} has; look at architectures in config.json`;
      },
    },
    {
      is: (name) => /\.([kvq]|input|output)_scale$/.test(name),
      words: () => "of quantized activations or of a KV cache, expected none beside plain weights",
    },
    {
      is: (name) => /^[a-z]\.blk\.|^blk\./.test(name),
      words: () => "of parts that no family here has a name for, expected none",
    },
    {
      is: () => true,
      words: () => `of parts that ${own} has not, expected none`,
    },
  ];
}
