import { openCheckpoint } from "./open_checkpoint.ts";
import type { Architecture, LayerLayout, LayerOutline, ModelFiles } from "./family.ts";
import { findFamily } from "./find_family.ts";
import { fusedTensors } from "./fused_tensors.ts";
import { readModelRecord } from "./model_record.ts";

/** What a model is by its `config.json`; throws where no family runs it, or with the key that is odd. */
export function architectureOf(json: unknown): Architecture {
  const { family, name } = findFamily(json);
  const config = family.config(json);
  const layout = family.layout(config);
  const layers = layout.layers.map(outlineOf);
  const linears = layers.flatMap((layer) => layer.linears);
  const byWeight = new Map(linears.map((linear) => [linear.weight, linear]));
  const quantizable = [...linears, ...config.tied ? [] : layout.head.linears];
  const anyByWeight = new Map(quantizable.map((linear) => [linear.weight, linear]));
  const byTensor = new Map(
    layers.flatMap(({ index, tensors }) => [...tensors.keys()].map((name) => [name, index])),
  );
  return {
    ...layout,
    name,
    json: json as Architecture["json"],
    family,
    config,
    fused: fusedTensors(family, layout),
    layers,
    sites: [...layers.flatMap(({ sites }) => sites), layout.head],
    linears,
    linearOf: (weight) => byWeight.get(weight),
    quantizable,
    quantizableOf: (weight) => anyByWeight.get(weight),
    layerOf: (tensor) => byTensor.get(tensor),
  };
}

/** The same model with a head of its own, which begins as a copy of the embedding table. */
export function untied(architecture: Architecture): Architecture {
  if (!architecture.config.tied) return architecture;
  return architectureOf({ ...architecture.json, tie_word_embeddings: false });
}

function outlineOf(layout: LayerLayout, index: number): LayerOutline {
  const linears = layout.sites.flatMap((site) => site.linears);
  const found = <T>(all: readonly T[], is: (one: T) => boolean, what: string): T => {
    const one = all.find(is);
    if (one) return one;
    throw new TypeError(`Cannot find ${what} of layer ${index}: it has none, expected one`);
  };
  return {
    ...layout,
    index,
    linears,
    site: (role, expert) =>
      found(
        layout.sites,
        (site) => site.role === role && site.expert === expert,
        `site ${role}${expert === undefined ? "" : ` of expert ${expert}`}`,
      ),
    linear: (role) => found(linears, (linear) => linear.role === role, `linear ${role}`),
  };
}

/** Opens a model artifact or a plain checkpoint of a family. */
export async function openModel(path: string): Promise<ModelFiles & Disposable> {
  const record = await readModelRecord(path);
  const checkpoint = await openCheckpoint(path);
  try {
    const architecture = architectureOf(checkpoint.config);
    return {
      checkpoint,
      record,
      architecture,
      [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
    };
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}
