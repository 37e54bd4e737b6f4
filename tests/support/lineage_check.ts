import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { openStats, type Stats } from "../../stages/calibration/stats.ts";
import { relativeError } from "./forward_pass.ts";

/**
 * Asserts that stats of an earlier model, opened for the model it became, say what stats taken of
 * that model say.
 */
export async function assertSameStats(
  model: Artifact,
  earlier: Artifact,
  fresh: Artifact,
): Promise<void> {
  using led = await openStats(earlier, model);
  using taken = await openStats(fresh, model);
  for (let layer = 0; layer < 2; layer++) {
    const sites = ["attention.in", "attention.out", "mlp.in", "mlp.out"]
      .map((site) => `layers.${layer}.${site}`);
    const taps = ["queries", "keys", "values"].map((tap) => `layers.${layer}.attention.${tap}`);
    const reads: [string, (stats: Stats) => Promise<Float32Array>][] = [
      ...[...sites, ...taps].map((tap): [string, (stats: Stats) => Promise<Float32Array>] => [
        tap,
        (stats) => stats.magnitude(layer, tap, "absmax"),
      ]),
      ...sites.map((site): [string, (stats: Stats) => Promise<Float32Array>] => [
        `rows of ${site}`,
        async (stats) => (await stats.rows(layer, site)).values,
      ]),
    ];
    for (const [what, read] of reads) {
      const error = relativeError(await read(led), await read(taken));
      assert.ok(error < 1e-4, `${what}: relative difference is ${error}`);
    }
  }
}
