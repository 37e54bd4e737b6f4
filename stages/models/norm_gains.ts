import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Site } from "./site.ts";
import type { Piece, TensorEdit } from "./rewrite.ts";

/** What folding the gains of norms into the linears they feed changes. */
export interface FoldedGains {
  /** Gains become 1, columns of linears are multiplied by them. */
  readonly edits: ReadonlyMap<string, TensorEdit>;
  /** The gains as they were, by the name of the site they feed. */
  readonly gains: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/**
 * Folds the gain of every norm into the linears at the site it feeds, for `stage`.
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
    gains.set(site.name, gain);
    edits.set(site.fedBy.weight, { change: ({ values }) => void values.fill(1) });
    for (const { weight } of site.linears) edits.set(weight, foldedBy(gain));
  }
  return { edits, gains };
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

/** W[:, c] times the gain of channel c. */
function foldedBy(gain: Float32Array): TensorEdit {
  return {
    change({ values, columns }: Piece) {
      for (let at = 0; at < values.length; at++) values[at]! *= gain[at % columns]!;
    },
  };
}
