import type { Checkpoint } from "../formats/checkpoint.ts";
import { adaptedLinears } from "../models/adapted_linears.ts";
import type { LinearChange, LinearChanges } from "../models/basis.ts";
import type { Architecture } from "../models/family.ts";
import { foldGains, gainChanges } from "../models/norm_gains.ts";
import type { Piece, TensorEdit } from "../models/rewrite.ts";
import { type LayerSite, type LinearOutline, readersOf } from "../models/site.ts";
import { rotateVectors, type Rotation } from "../quant/rotation.ts";

/**
 * Turns by an orthogonal matrix R, in blocks of its size: with `rows` the vectors are the rows of a
 * piece, so a matrix W becomes W R; with `columns` they run down its columns, so W becomes R^T W.
 */
export type VectorTurn = (piece: Piece, axis: "rows" | "columns") => void | Promise<void>;

/** A turn, by the name under which a model's record has it. */
export interface NamedTurn {
  readonly name: string;
  readonly turn: VectorTurn;
}

/** What of a model is turned, and by what. */
export interface ModelTurns {
  readonly architecture: Architecture;
  /** Whose word is in errors. */
  readonly stage: string;
  /** The residual stream, into whose readers the gains of norms are folded. */
  readonly residual: NamedTurn | undefined;
  /** The values of each head of a layer. */
  readonly head: ((layer: number) => NamedTurn) | undefined;
  /** What all heads make, which is turned while the model runs. */
  readonly heads: NamedTurn | undefined;
  /** What down projections take, which is turned while the model runs, by the size of an MLP or an expert. */
  readonly inner: ReadonlyMap<number, NamedTurn>;
}

/** How a model changes. */
export interface RotationEdits {
  /** The change of every tensor. */
  readonly edits: ReadonlyMap<string, TensorEdit>;
  /** The same of linears that adapters may change. */
  readonly linears: LinearChanges;
}

/** The turn of a rotation of the host's. */
export function turnBy(rotation: Rotation): VectorTurn {
  return ({ values, columns }, axis) =>
    rotateVectors(values, rotation, axis === "rows" ? 1 : columns);
}

/**
 * Why the residual stream cannot be rotated: the gains of a norm behind attention or MLP differ from
 * channel to channel, and nothing behind them can take them over.
 */
export function streamStays({ layers }: Architecture): string | undefined {
  const norm = layers.flatMap(({ sites }) => sites).find(({ outputNorm }) => outputNorm)
    ?.outputNorm?.weight;
  return norm && `"${norm}" and its like add to it with gains that no linear can take over`;
}

/** The change of every tensor and linear, from the sites alone. */
export async function rotationEdits(
  checkpoint: Checkpoint,
  { architecture, stage, residual, head, heads, inner }: ModelTurns,
): Promise<RotationEdits> {
  const { embeddings, sites } = architecture;
  const folded = residual && await foldGains(checkpoint, sites, stage);
  const edits = new Map<string, TensorEdit>(folded?.edits);
  const adapted = new Map(adaptedLinears(architecture).map(({ weight, name }) => [weight, name]));
  const linears = folded
    ? gainChanges(architecture, folded.gains)
    : new Map<string, LinearChange>();
  const add = (name: string, edit: TensorEdit) => edits.set(name, both(edits.get(name), edit));
  const tell = (weight: string, side: "inputs" | "outputs", { name }: NamedTurn) => {
    const linear = adapted.get(weight);
    if (linear === undefined) return;
    const change = linears.get(linear);
    const own = change?.[side];
    linears.set(linear, { ...change, [side]: { ...own, turns: [...own?.turns ?? [], name] } });
  };
  const turnInputs = (weight: string, turned: NamedTurn) => {
    add(weight, inputsBy(turned.turn));
    tell(weight, "inputs", turned);
  };
  const turnOutputs = (
    { weight, bias }: Pick<LinearOutline, "weight" | "bias">,
    turned: NamedTurn,
  ) => {
    const edit = outputsBy(turned.turn);
    add(weight, edit);
    if (bias !== undefined) add(bias, edit);
    tell(weight, "outputs", turned);
  };
  if (residual) {
    turnInputs(embeddings, residual);
    const biases = new Set(
      sites.flatMap(({ residual: side, fedBy: { bias } }) =>
        side === "read" && bias !== undefined ? [bias] : []
      ),
    );
    for (const bias of biases) add(bias, outputsBy(residual.turn));
  }
  for (const site of sites) {
    const { role, residual: side, channels, fedBy } = site;
    const own = role === "attention.out" ? head?.((site as LayerSite).layer) : undefined;
    if (own) turnOutputs(fedBy, own);
    const within = role === "mlp.out" ? inner.get(channels) : undefined;
    for (const linear of readersOf(site)) {
      if (residual && side === "read") turnInputs(linear.weight, residual);
      else if (residual) turnOutputs(linear, residual);
      if (own) turnInputs(linear.weight, own);
      if (role === "attention.out" && heads) turnInputs(linear.weight, heads);
      if (within) turnInputs(linear.weight, within);
    }
  }
  return { edits, linears };
}

function both(first: TensorEdit | undefined, second: TensorEdit): TensorEdit {
  if (!first) return second;
  return {
    whole: (first.whole ?? false) || (second.whole ?? false),
    async change(piece) {
      await first.change(piece);
      await second.change(piece);
    },
  };
}

/** W becomes W R, each block of R's size along a row. */
function inputsBy(turn: VectorTurn): TensorEdit {
  return { change: (piece) => turn(piece, "rows") };
}

/** W becomes R^T W and b becomes R^T b, each block of R's size along the outputs. */
function outputsBy(turn: VectorTurn): TensorEdit {
  return { whole: true, change: (piece) => turn(piece, "columns") };
}
