import type { LayerSite } from "../models/site.ts";
import type { SitePlan } from "./plan.ts";
import type { SiteInputs } from "./site.ts";

/**
 * The share of a linear's inputs that an expert must have seen tokens for: with fewer, most directions of
 * its Gram matrix rest on damping alone.
 */
const ENOUGH = 1 / 4;

/** What a layer's activations were, by site and expert. */
export interface Seen {
  gram(site: LayerSite, expert?: number): Promise<Float32Array<ArrayBuffer>>;
  /** Tokens of an expert; undefined where nothing is computed. */
  tokens(site: LayerSite, expert: number): Promise<number | undefined>;
}

/**
 * The inputs of a plan. Where an expert saw too few tokens, what reads the activation before all experts
 * takes that of all tokens: it is the same norm's. Inside an expert there is no other like it, and what
 * stands there is rounded to nearest.
 */
export async function inputsOf(
  { site, expert }: Pick<SitePlan, "site" | "expert">,
  seen: Seen,
): Promise<SiteInputs> {
  const whose = expert ?? site.expert;
  if (whose === undefined) return { gram: await seen.gram(site) };
  const tokens = await seen.tokens(site, whose);
  const enough = ENOUGH * site.channels;
  if (tokens === undefined || tokens >= enough) {
    return { gram: await seen.gram(site, expert), ...tokens !== undefined && { tokens } };
  }
  const tooFew = `its expert saw ${tokens} tokens in calibration, expected at least ${
    Math.ceil(enough)
  }`;
  const gram = expert === undefined ? undefined : await seen.gram(site);
  return { gram, tokens, tooFew };
}
