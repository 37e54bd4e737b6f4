import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { bytesOf } from "../../stages/formats/half.ts";
import { Model } from "../../stages/models/model.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { readCoded } from "../../stages/quant/stored_weight.ts";
import { logLikelihoods } from "./log_likelihoods.ts";
import type { StageChain } from "./stage_chain.ts";

/** Tokens of such ids. */
export async function tokensOf(
  chain: StageChain,
  ids: Uint32Array<ArrayBuffer>,
): Promise<Artifact<"tokens">> {
  const tokens = await chain.tokens(1);
  await Deno.writeFile(`${tokens.path}/tokens.u32`, bytesOf(ids));
  return tokens;
}

/** The codes of a linear of a model. */
export async function codesOf({ path }: Artifact, name: string): Promise<ArrayLike<number>> {
  using files = await openModel(path);
  const { weights } = files.record.linears[name]!;
  return (await readCoded(files.checkpoint, name, weights)).codes;
}

/** Mean log-likelihood of a model's windows. */
export async function meanOf(
  { path }: Artifact,
  { test, context }: { readonly test: Uint32Array; readonly context: number },
): Promise<number> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const all: number[] = [];
  const options = { context, group: 1, signal: new AbortController().signal, progress() {} };
  for await (const values of logLikelihoods(device, model, test, options)) all.push(...values);
  return mean(all);
}

/** The mean of values. */
export function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

/** Asserts that two mean log-likelihoods give perplexities that differ by no more than a part. */
export function closePerplexity(got: number, expected: number, part: number): void {
  const ratio = Math.exp(expected - got);
  assert.ok(Math.abs(ratio - 1) < part, `perplexity is ${ratio} times the oracle's`);
}
