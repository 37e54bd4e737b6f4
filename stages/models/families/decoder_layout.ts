import type { BlockNorms, DecoderConfig, LayerNorms } from "../config.ts";
import type { JoinedRows, LayerLayout, Layout } from "../family.ts";
import { expertSites } from "./expert_layout.ts";
import { outputs, tensorsOf } from "./linear_tensors.ts";
import {
  type Feeder,
  type LayerLinear,
  type LayerSite,
  type LinearRole,
  moduleOf,
  type Projection,
  roleOf,
  type Tap,
} from "../site.ts";

const EMBEDDINGS = "model.embed_tokens";
const HEAD = "lm_head";
const LLAMA_NORMS: LayerNorms = {
  attention: { before: "input_layernorm" },
  mlp: { before: "post_attention_layernorm" },
};

/** What families call otherwise than most do. */
interface LayoutOptions {
  /** The norms of queries and keys, behind `q_` and `k_`. */
  readonly queryKeyNorm?: string;
  /** The tensor of a head's gain, where those of a module are not the rows of one. */
  readonly headGain?: (module: string, head: number) => string;
}

/** The layout of a decoder with norms of the residual stream, a gated MLP and rotary positions. */
export function decoderLayout(config: DecoderConfig, options: LayoutOptions = {}): Layout {
  const { hidden, vocabulary, tied } = config;
  const layers = Array.from(
    { length: config.layers },
    (_, layer) => layerLayout(config, layer, options),
  );
  const joined = layers.flatMap((layer) => [...layer.joined ?? []]);
  const last = streamNorm("model.norm", config);
  const head = tied ? EMBEDDINGS : HEAD;
  const weight = `${head}.weight`;
  const embeddings = `${EMBEDDINGS}.weight`;
  return {
    tensors: new Map([
      [embeddings, [vocabulary, hidden]],
      ...layers.flatMap(({ tensors }) => [...tensors]),
      ...vectorsOf(last),
      ...tied ? [] : [[weight, [vocabulary, hidden]] as const],
    ]),
    ...joined.length > 0 && { joined: new Map(joined) },
    embeddings,
    layers,
    stacks: new Map(layers.flatMap(({ stacks = [] }) => [...stacks])),
    ownHead: `${HEAD}.weight`,
    head: {
      name: "head",
      role: "head",
      residual: "read",
      channels: hidden,
      fedBy: last,
      linears: [{ name: head, weight, bias: undefined, rows: vocabulary, columns: hidden }],
    },
  };
}

function layerLayout(
  config: DecoderConfig,
  layer: number,
  { queryKeyNorm = "norm", headGain }: LayoutOptions,
): LayerLayout {
  const { hidden, inner, heads, kvHeads, headSize, queryKeyNorms, parallel, experts } = config;
  const norms = config.layerNorms ?? LLAMA_NORMS;
  const [queries, keys] = [heads * headSize, kvHeads * headSize];
  const prefix = `model.layers.${layer}`;
  const normsOf = ({ before, behind }: BlockNorms) => ({
    fedBy: before === undefined ? stream(config) : streamNorm(`${prefix}.${before}`, config),
    behind: behind === undefined ? undefined : streamNorm(`${prefix}.${behind}`, config),
  });
  const attention = normsOf(norms.attention);
  const mlp = parallel ? attention : normsOf(norms.mlp);
  const linear = (role: LinearRole, rows: number, columns: number): LayerLinear => {
    const block = "qkvo".includes(role) ? "self_attn" : "mlp";
    const module = `${block}.${role}_proj`;
    const name = `${prefix}.${module}`;
    const bias = config.biases.includes(role) ? `${name}.bias` : undefined;
    return { name, weight: `${name}.weight`, bias, layer, role, module, rows, columns };
  };
  const q = linear("q", queries, hidden);
  const k = linear("k", keys, hidden);
  const v = linear("v", keys, hidden);
  const o = linear("o", hidden, queries);
  const gate = linear("gate", inner, hidden);
  const up = linear("up", inner, hidden);
  const down = linear("down", hidden, inner);
  const site = (
    projection: Projection,
    linears: readonly LayerLinear[],
    { fedBy, behind }: { readonly fedBy: Feeder; readonly behind?: Feeder | undefined },
  ): LayerSite => {
    const role = roleOf(projection);
    const name = `layers.${layer}.${role}`;
    const residual = fedBy.kind === "linear" ? "written" : "read";
    const channels = linears[0]!.columns;
    const site = { name, layer, role, projection, residual, channels, fedBy, linears } as const;
    return behind ? { ...site, outputNorm: behind } : site;
  };
  const tap = (name: string, channels: number, fedBy: Feeder): Tap => (
    { name: `layers.${layer}.attention.${name}`, channels, fedBy }
  );
  const normed = (linear: LayerLinear) => {
    if (!queryKeyNorms) return outputs(linear);
    const channels = queryKeyNorms === "shared" ? headSize : linear.rows;
    return norm(`${prefix}.self_attn.${linear.role}_${queryKeyNorm}`, { channels });
  };
  const [queriesBy, keysBy] = [normed(q), normed(k)];
  const gainsOf = ({ weight, channels }: Feeder): [string, JoinedRows] => {
    const rows = channels / headSize;
    const module = moduleOf(weight);
    const names = headGain && Array.from({ length: rows }, (_, head) => headGain(module, head));
    return [weight, { rows, ...names && { names } }];
  };
  const block = experts?.layers[layer] ? expertSites(experts, { hidden, layer, prefix, ...mlp }) : {
    sites: [
      site("up_proj", [gate, up], { fedBy: mlp.fedBy }),
      site("down_proj", [down], { fedBy: outputs(up), behind: mlp.behind }),
    ],
    tensors: [gate, up, down].flatMap(tensorsOf),
    stacks: [],
  };
  return {
    ...queryKeyNorms === "own" && { joined: new Map([queriesBy, keysBy].map(gainsOf)) },
    sites: [
      site("qkv_proj", [q, k, v], { fedBy: attention.fedBy }),
      site("out_proj", [o], { fedBy: outputs(v), behind: attention.behind }),
      ...block.sites,
    ],
    taps: {
      queries: tap("queries", queries, queriesBy),
      keys: tap("keys", keys, keysBy),
      values: tap("values", keys, outputs(v)),
    },
    tensors: new Map([
      ...normsBefore(attention.fedBy),
      ...[q, k, v, o].flatMap(tensorsOf),
      ...queryKeyNorms ? [queriesBy, keysBy].flatMap(vectorsOf) : [],
      ...attention.behind ? vectorsOf(attention.behind) : [],
      ...parallel ? [] : normsBefore(mlp.fedBy),
      ...block.tensors,
      ...mlp.behind ? vectorsOf(mlp.behind) : [],
    ]),
    stacks: new Map(block.stacks),
  };
}

/** The residual stream itself. */
function stream({ hidden }: DecoderConfig): Feeder {
  return { kind: "stream", weight: `${EMBEDDINGS}.weight`, bias: undefined, channels: hidden };
}

function normsBefore(fedBy: Feeder): [string, number[]][] {
  return fedBy.kind === "norm" ? vectorsOf(fedBy) : [];
}

/** A norm of the residual stream. */
function streamNorm(module: string, { hidden: channels, normBias: bias }: DecoderConfig): Feeder {
  return norm(module, { channels, bias });
}

function norm(
  module: string,
  { channels, bias = false }: { readonly channels: number; readonly bias?: boolean },
): Feeder {
  const added = bias ? `${module}.bias` : undefined;
  return { kind: "norm", weight: `${module}.weight`, bias: added, channels };
}

function vectorsOf({ weight, bias, channels }: Feeder): [string, number[]][] {
  return [weight, ...bias === undefined ? [] : [bias]].map((name) => [name, [channels]]);
}
