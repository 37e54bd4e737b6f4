import { strict as assert } from "node:assert";
import type { Artifact } from "../../pipeline/artifact.ts";
import { openStats, type Stats } from "../../stages/calibration/stats.ts";
import { openModel } from "../../stages/models/architecture.ts";
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
  using files = await openModel(model.path);
  for (const { index: layer, ...outline } of files.architecture.layers.slice(0, 2)) {
    const sites = outline.sites.map(({ name }) => name);
    const taps = Object.values(outline.taps).map(({ name }) => name);
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
      const [got, expected] = [await read(led), await read(taken)];
      assert.equal(got.length, expected.length, what);
      // An expert that no token went to has seen nothing.
      if (expected.every((value) => value === 0)) continue;
      const error = relativeError(got, expected);
      assert.ok(error < 1e-4, `${what}: relative difference is ${error}`);
    }
  }
}
