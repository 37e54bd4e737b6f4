import { z } from "zod";

/**
 * Roles of a layer's sites in the order they run, by the words that manifests have for the linears they
 * feed (those of DeepCompressor's recipes; `up_proj` stands for the gate too).
 */
const ROLES = {
  qkv_proj: "attention.in",
  out_proj: "attention.out",
  up_proj: "mlp.in",
  down_proj: "mlp.out",
} as const;

/** The linears of a layer by what they read, as manifests name them. */
export const projection = z.enum(Object.keys(ROLES) as [keyof typeof ROLES]);

/** See `projection`. */
export type Projection = z.infer<typeof projection>;

/** What a site of a layer is for, in statistics and in `model.json`. */
export const siteRole = z.enum(Object.values(ROLES));

/** See `siteRole`. */
export type SiteRole = z.infer<typeof siteRole>;

/** The role of the site whose linears a projection names. */
export function roleOf<P extends Projection>(projection: P): (typeof ROLES)[P] {
  return ROLES[projection];
}

/** The linears of a layer. */
export type LinearRole = "q" | "k" | "v" | "o" | "gate" | "up" | "down";

/** A matrix that multiplies an activation, as `config.json` alone tells of it. */
export interface LinearOutline {
  /** The part that the names of its tensors share, by which `model.json` knows it. */
  readonly name: string;
  /** Tensor of the weight in full precision. */
  readonly weight: string;
  /** Tensor of the bias, where it has one. */
  readonly bias: string | undefined;
  /** Outputs. */
  readonly rows: number;
  /** Inputs. */
  readonly columns: number;
}

/** What the tensors of one linear, norm or table have in common: their names up to the last dot. */
export function moduleOf(tensor: string): string {
  return tensor.slice(0, Math.max(0, tensor.lastIndexOf(".")));
}

/** A linear of a layer. */
export interface LayerLinear extends LinearOutline {
  readonly layer: number;
  readonly role: LinearRole;
  /** Its name within the layer, such as `self_attn.q_proj`. */
  readonly module: string;
  /** Which of the layer's experts it is of, where it is of one that a router chooses. */
  readonly expert?: number;
}

/** What makes the channels of an activation, so that they can be scaled or permuted there. */
export interface Feeder {
  /** The gain of a norm, the outputs of a linear, or all that writes to the residual stream. */
  readonly kind: "norm" | "linear" | "stream";
  /** The tensor; of the stream that which it begins with. */
  readonly weight: string;
  readonly bias: string | undefined;
  /** Channels it has of its own: fewer than it feeds where heads share the gain of a norm. */
  readonly channels: number;
}

/** An activation that calibration can watch. */
export interface Tap {
  /** Its name in statistics and lineages, such as `layers.3.mlp.in`. */
  readonly name: string;
  readonly channels: number;
  readonly fedBy: Feeder;
}

/** Taps of a layer's attention beside its sites: queries and keys as they meet, and values. */
export type AttentionTap = "queries" | "keys" | "values";

/** Where one activation feeds linears: all that an algorithm may know of an architecture. */
export interface Site extends Tap {
  readonly role: SiteRole | "head";
  /** Whether its linears read the residual stream behind a norm, or write to it. */
  readonly residual: "read" | "written";
  readonly linears: readonly LinearOutline[];
  /** What reads the activation beside the linears and stays in full precision: a router. */
  readonly routers?: readonly LinearOutline[];
}

/** All that reads a site's activation. */
export function readersOf({ linears, routers = [] }: Site): readonly LinearOutline[] {
  return [...linears, ...routers];
}

/** The routers of a model. */
export function routersOf(sites: readonly Site[]): readonly LinearOutline[] {
  return sites.flatMap(({ routers = [] }) => routers);
}

/** Where the logits are made. */
export interface HeadSite extends Site {
  readonly role: "head";
  readonly linears: readonly [LinearOutline];
}

/** A site of a layer. */
export interface LayerSite extends Site {
  readonly layer: number;
  readonly role: SiteRole;
  readonly projection: Projection;
  readonly linears: readonly LayerLinear[];
  /** What its linears write goes through on its way to the residual stream, where that is a norm. */
  readonly outputNorm?: Feeder;
  /** The expert inside which it lies, where that is one a router chooses. */
  readonly expert?: number;
}

/** What statistics call the part of a site's activation that goes to one expert. */
export function expertTap(site: string, expert: number): string {
  return `${site}.expert_${expert}`;
}
