import type { Checkpoint } from "../formats/checkpoint.ts";
import { adaptedLinears } from "./adapted_linears.ts";
import type { LinearChange } from "./basis.ts";
import type { Architecture } from "./family.ts";
import { readersOf, type Site } from "./site.ts";
import type { Piece, TensorEdit } from "./rewrite.ts";

/** What folding the gains of norms into the linears they feed changes. */
export interface FoldedGains {
  /** Gains become 1, biases are divided by them, columns of linears are multiplied. */
  readonly edits: ReadonlyMap<string, TensorEdit>;
  /** The gains as they were, by the name of the site they feed. */
  readonly gains: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/**
 * Folds the gain of every norm into the linears and routers at the site it feeds, for `stage`.
 *
 * A head that is the embedding table must be a tensor of its own among the sites given.
 */
export async function foldGains(
  checkpoint: Checkpoint,
  sites: readonly Site[],
  stage: string,
): Promise<FoldedGains> {
  const edits = new Map<string, TensorEdit>();
  const gains = new Map<string, Float32Array<ArrayBuffer>>();
  for (const site of sites) {
    if (site.residual === "written") continue;
    const gain = await gainOf(checkpoint, site, stage);
    const { bias } = site.fedBy;
    if (bias !== undefined) {
      refuseHidden(await checkpoint.read(bias), { gain, site, stage });
      edits.set(bias, dividedBy(gain));
    }
    gains.set(site.name, gain);
    edits.set(site.fedBy.weight, { change: ({ values }) => void values.fill(1) });
    for (const { weight } of readersOf(site)) edits.set(weight, foldedBy(gain));
  }
  return { edits, gains };
}

/** What gains become of the linears of layers into which they were folded, by the site of each. */
export function gainChanges(
  architecture: Architecture,
  gains: FoldedGains["gains"],
): Map<string, LinearChange> {
  const adapted = new Set(adaptedLinears(architecture).map(({ name }) => name));
  return new Map(
    architecture.layers.flatMap(({ sites }) => sites).flatMap(({ name, linears }) => {
      const factor = gains.get(name);
      return linears.flatMap((linear) =>
        factor && adapted.has(linear.name) ? [[linear.name, { inputs: { factor } }] as const] : []
      );
    }),
  );
}

/** The gain of the norm that feeds a site. */
async function gainOf(
  checkpoint: Checkpoint,
  { name, fedBy }: Site,
  stage: string,
): Promise<Float32Array<ArrayBuffer>> {
  if (fedBy.kind === "norm") return await checkpoint.read(fedBy.weight);
  throw new TypeError(
    `Cannot ${stage} the model: "${fedBy.weight}" feeds ${name}, expected a norm; gains that stand elsewhere cannot be folded`,
  );
}

/** Throws where a bias stands behind a gain of 0, which nothing makes up for behind the norm. */
function refuseHidden(
  biases: Float32Array,
  { gain, site: { fedBy }, stage }: {
    readonly gain: Float32Array;
    readonly site: Site;
    readonly stage: string;
  },
): void {
  const channel = biases.findIndex((bias, channel) => bias !== 0 && gain[channel] === 0);
  if (channel < 0) return;
  throw new RangeError(
    `Cannot ${stage} the model: "${fedBy.weight}" is 0 at channel ${channel}, where "${fedBy.bias}" is ${
      biases[channel]
    }, expected another gain, by which the bias can be divided`,
  );
}

/** A bias divided by the gain of its channel; both may be 0. */
function dividedBy(gain: Float32Array): TensorEdit {
  return {
    change({ values, rows: { start } }: Piece) {
      for (let at = 0; at < values.length; at++) {
        if (values[at] !== 0) values[at]! /= gain[start + at]!;
      }
    },
  };
}

/** W[:, c] times the gain of channel c. */
function foldedBy(gain: Float32Array): TensorEdit {
  return {
    change({ values, columns }: Piece) {
      for (let at = 0; at < values.length; at++) values[at]! *= gain[at % columns]!;
    },
  };
}
