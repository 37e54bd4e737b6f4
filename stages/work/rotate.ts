import { duration } from "../duration.ts";
import { headerFiles } from "../facts.ts";
import { type BasisTurn, turnOf } from "../models/basis.ts";
import { openModel, untied } from "../models/architecture.ts";
import type { Architecture, ModelFiles } from "../models/family.ts";
import { addChannelStep, basisAfter } from "../models/lineage.ts";
import { type ModelRecord, recordAfter, refuseChannels } from "../models/model_record.ts";
import { rewriteModel } from "../models/rewrite.ts";
import { type HadamardFactor, hadamardFactor } from "../quant/hadamard.ts";
import { type NamedTurn, rotationEdits, streamStays, turnBy } from "../rotation/edits.ts";
import { rewriteForecast, tensorsBytes } from "../sizes.ts";
import { keepingMeans, type Rotation, rotationOf } from "../quant/rotation.ts";
import type { ParamsOf, WorkOf } from "../kinds.ts";
import type { RotateDeclaration } from "../rotate.ts";

type Transform = ParamsOf<RotateDeclaration>["transforms"][number];

/** The parts of a model's sizes that are rotated. */
interface Rotations {
  /** Undefined where something stands in its way. */
  readonly residual: Rotation | undefined;
  readonly head: Rotation | undefined;
  readonly heads: Rotation | undefined;
  /** By the inner size of an MLP or an expert; none where these stay. */
  readonly inner: ReadonlyMap<number, Rotation>;
}

/** See `rotate`. */
export const rotateWork: WorkOf<RotateDeclaration> = {
  async forecast({ model }, params, { rates }) {
    const { rotations: _, behind: __, basis, ...rewrite } = await rotation(
      headerFiles(model),
      params,
    );
    const record = { ...rewrite.record, ...basisAfter(model.record, basis) };
    const changed = { ...rewrite, record };
    const forecast = rewriteForecast(model, changed, { measures: false, products: true });
    const written = tensorsBytes(forecast.facts.tensors.values());
    // Two bytes are a value; most of them are in matrices that one rotation turns.
    return { ...forecast, ...duration(rates, [{ written, arithmetic: written / 2 }]) };
  },
  async run(job, { model }, { seed, transforms }) {
    using files = await openModel(model.path);
    const { rotations, behind, basis, record, ...rewrite } = await rotation(files, {
      seed,
      transforms,
    });
    // Rotated channels are mixtures of the earlier ones: what was measured there is void here.
    const before = { ...model, record: files.record };
    const channels = await addChannelStep(before, job.out, { activations: undefined, basis });
    await rewriteModel(model.path, job.out, {
      ...rewrite,
      record: { ...record, ...channels },
      signal: job.signal,
      progress: (done, total, note) => job.progress(done, total, note),
    });
    const { inner, ...places } = rotations;
    const all = [
      ...Object.entries<Rotation | undefined>(places),
      ...[...inner.values()].map((rotation) => ["inner", rotation] as const),
    ];
    const sizes = all.flatMap(([place, rotation]) =>
      rotation ? [`${place} ${rotation.factor.size} as ${words(rotation)}`] : []
    );
    const { tied } = files.architecture.config;
    job.note(`rotated ${sizes.join(", ")}`, { tied });
    if (behind === undefined) return;
    job.note(`the residual stream stays as it is: ${behind}`, undefined, "warning");
  },
};

/** How a model changes, and by which rotations. */
async function rotation(files: ModelFiles, { seed, transforms }: ParamsOf<RotateDeclaration>) {
  const { checkpoint, record, architecture: { config: { tied } } } = files;
  refuse(record, transforms);
  const behind = streamStays(files.architecture);
  const unties = tied && behind === undefined;
  const architecture = unties ? untied(files.architecture) : files.architecture;
  const { embeddings, ownHead } = architecture;
  const rotations = rotationsOf(architecture, { seed, transforms, residual: behind === undefined });
  if (behind !== undefined && transforms.length === 0) {
    throw new TypeError(
      `Cannot rotate the model: ${behind}, expected transforms that turn other channels: out_proj or down_proj`,
    );
  }
  const { residual, head, heads, inner } = rotations;
  const turns: Record<string, BasisTurn> = {};
  const named = (name: string, rotation: Rotation): NamedTurn => {
    turns[name] = turnOf(rotation);
    return { name, turn: turnBy(rotation) };
  };
  const ofHead = head && named("head", head);
  const { edits, linears } = await rotationEdits(checkpoint, {
    architecture,
    stage: "rotate",
    residual: residual && named("residual", residual),
    head: ofHead && (() => ofHead),
    heads: heads && named("heads", heads),
    inner: new Map(
      [...inner].map(([size, rotation]) => [size, named(`inner.${size}`, rotation)]),
    ),
  });
  return {
    rotations,
    behind,
    basis: { stage: "rotate", linears, turns },
    edit: (name: string) => edits.get(name),
    ...unties && { added: new Map([[ownHead, embeddings]]) },
    config: architecture.json,
    record: {
      ...recordAfter(record, "rotate", { seed, transforms }),
      lineage: [],
      hadamard: [
        ...record.hadamard,
        ...rotations.heads ? ["attention.out" as const] : [],
        ...rotations.inner.size > 0 ? ["mlp.out" as const] : [],
      ],
    },
  };
}

function refuse(record: ModelRecord, transforms: readonly Transform[]): void {
  refuseChannels(record, "rotate", []);
  const sites = [
    ["down_proj", "down_proj", "mlp.out"],
    ["out_proj_online", "out_proj", "attention.out"],
    ["out_proj", "out_proj", "attention.out"],
  ] as const;
  for (const [transform, place, site] of sites) {
    if (!transforms.includes(transform) || !record.hadamard.includes(site)) continue;
    throw new TypeError(
      `Cannot rotate the inputs of ${place}: an earlier stage rotated them, expected that once; leave ${transform} out of transforms`,
    );
  }
}

function rotationsOf(
  { config: { hidden, heads, headSize, norm }, sites }: Architecture,
  { seed, transforms, residual: turns }: {
    readonly seed: number | undefined;
    readonly transforms: readonly Transform[];
    readonly residual: boolean;
  },
): Rotations {
  const wants = (transform: Transform) => transforms.includes(transform);
  const residual = turns ? hadamardFactor(hidden, "hidden size") : undefined;
  const head = wants("out_proj") ? hadamardFactor(headSize, "head size") : undefined;
  const stream = (factor: HadamardFactor, seed: number | undefined) =>
    rotationOf(factor, { seed, place: "residual" });
  const inner = new Set(
    sites.flatMap(({ role, channels }) => role === "mlp.out" ? [channels] : []),
  );
  return {
    // Without signs, what keeps means would leave the first channel where it is.
    residual: residual &&
      (norm === "layer" ? keepingMeans(stream(residual, seed ?? 0)) : stream(residual, seed)),
    head: head && rotationOf(head, { seed, place: "head" }),
    // Signs would have to be multiplied while the model runs; the plain transform spreads as well.
    heads: wants("out_proj_online")
      ? { factor: hadamardFactor(heads * headSize, "size of all heads") }
      : undefined,
    inner: new Map(
      wants("down_proj")
        ? [...inner].map((size) => [size, { factor: hadamardFactor(size, "inner size") }])
        : [],
    ),
  };
}

function words({ factor: { size, order }, signs, mirror }: Rotation): string {
  const shape = order === 1 ? `2^${Math.log2(size)}` : `${order} * 2^${Math.log2(size / order)}`;
  const kept = mirror ? ", which keeps means" : "";
  return `${shape}${signs ? " with random signs" : ""}${kept}`;
}
