import type { Device } from "../../kernels/device/device.ts";
import { architectureOf } from "../models/architecture.ts";
import { type BasisTurn, turnOf } from "../models/basis.ts";
import type { ModelFiles } from "../models/family.ts";
import type { ChannelStep } from "../models/lineage.ts";
import { type ModelRecord, recordAfter, refuseChannels } from "../models/model_record.ts";
import type { Rewrite } from "../models/rewrite.ts";
import { rowPieces } from "../formats/rows.ts";
import { hadamardFactor } from "../quant/hadamard.ts";
import { denseTurn } from "./dense_turn.ts";
import { type NamedTurn, rotationEdits, streamStays, turnBy } from "./edits.ts";
import type { LearnedRotations } from "./learned_rotations.ts";

/** Throws where learned rotations cannot be put into a model, before they are learned. */
export function refuseLearned({ architecture, record }: ModelFiles, stage: string): void {
  refuseChannels(record, stage, ["down_proj", "out_proj"]);
  const behind = streamStays(architecture);
  const { config: { norm, hidden, headSize, inner } } = architecture;
  const why = behind ??
    (norm === "layer" ? "its norms take means away, which rotations must leave alone" : undefined);
  if (why !== undefined) {
    throw new TypeError(
      `Cannot learn rotations of the model: ${why}, expected norms by the root mean square before each block; use the rotate stage`,
    );
  }
  for (const size of [hidden, headSize]) {
    if (size % 8 === 0) continue;
    throw new RangeError(
      `Cannot learn a rotation of ${size} channels: expected a multiple of 8; use the rotate stage`,
    );
  }
  hadamardFactor(hidden, "hidden size");
  hadamardFactor(headSize, "head size");
  hadamardFactor(inner, "inner size");
}

/**
 * How a model changes by learned rotations: R1 of the residual stream and R2 of each layer's heads are
 * multiplied into its weights, what down projections take goes through a Hadamard transform while it runs.
 */
export async function learnedRewrite(
  device: Device,
  { checkpoint, architecture: { config: { tied }, json }, record }: ModelFiles,
  { rotations: { residual, heads }, losses, stage, params }: {
    readonly rotations: LearnedRotations;
    /** Before each step, which the record keeps. */
    readonly losses: readonly number[];
    readonly stage: string;
    readonly params: unknown;
  },
): Promise<
  Pick<Rewrite, "edit" | "added" | "config"> & {
    readonly record: ModelRecord;
    readonly basis: NonNullable<ChannelStep["basis"]>;
  }
> {
  const architecture = architectureOf(tied ? { ...json, tie_word_embeddings: false } : json);
  const { embeddings, ownHead, sites, config: { hidden, headSize } } = architecture;
  const inner = new Set(
    sites.flatMap(({ role, channels }) => role === "mlp.out" ? [channels] : []),
  );
  const turns: Record<string, BasisTurn> = {};
  const matrices = new Map<string, Float32Array<ArrayBuffer>>();
  const kept = (name: string, matrix: Float32Array<ArrayBuffer>, size: number): NamedTurn => {
    turns[name] = { size, kept: true };
    matrices.set(name, matrix);
    return { name, turn: denseTurn(device, matrix, size) };
  };
  const ofHeads = heads.map((head, layer) => kept(`head.${layer}`, head, headSize));
  const { edits, linears } = await rotationEdits(checkpoint, {
    architecture,
    stage,
    residual: kept("residual", residual, hidden),
    head: (layer) => ofHeads[layer]!,
    heads: undefined,
    inner: new Map([...inner].map((size) => {
      const rotation = { factor: hadamardFactor(size, "inner size") };
      const name = `inner.${size}`;
      turns[name] = turnOf(rotation);
      return [size, { name, turn: turnBy(rotation) }];
    })),
  });
  return {
    basis: { stage, linears, turns, matrices },
    edit: (name: string) => edits.get(name),
    ...tied && { added: new Map([[ownHead, embeddings]]) },
    config: architecture.json,
    record: {
      ...recordAfter(record, stage, params),
      lineage: [],
      hadamard: [...record.hadamard, "mlp.out"],
      measured: { ...record.measured, rotation: losses },
    },
  };
}

/** Takes a rewrite's way with the largest piece of every tensor, where only sizes are known. */
export async function countRewrite(
  { checkpoint: { tensors } }: ModelFiles,
  { edit, added = new Map<string, string>() }: Pick<Rewrite, "edit" | "added">,
): Promise<void> {
  const sources = [...[...tensors.keys()].map((name) => [name, name] as const), ...added];
  for (const [name, source] of sources) {
    const change = edit(name);
    const { shape } = tensors.get(source)!;
    const [rows] = rowPieces(shape, change);
    const [, columns = 1] = shape;
    if (rows) await change?.change({ values: new Float32Array(0), rows, columns });
  }
}
