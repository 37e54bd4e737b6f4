import { match, ok, rejects } from "node:assert/strict";
import { readManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { ManifestError } from "../../../pipeline/manifest/problem.ts";
import { openPlaces } from "../../support/hostile_places.ts";
import * as stages from "../../support/toy/stages.ts";

Deno.test("a manifest is read from files only, and not from large ones", async () => {
  await using places = await openPlaces();
  const { device, pipe, sparse, directory } = places;
  const cases = [
    [device, /it is a device, expected a file/],
    [pipe, /it is a pipe, expected a file/],
    [directory, /it is a directory, expected a file/],
    [sparse, /it has 1099511627776 bytes, expected at most 16777216/],
  ] as const;
  for (const [path, why] of cases) {
    const start = performance.now();
    const manifest = `${directory}/extending.yaml`;
    await Deno.writeTextFile(manifest, `extends: ${path}\nsteps: {}\n`);
    for (const read of [path, manifest]) {
      await rejects(readManifest(read, { stages }), (error) => {
        ok(error instanceof ManifestError);
        match(error.message, why);
        return true;
      });
    }
    // Read to its end, a device or a pipe would keep it for ever.
    ok(performance.now() - start < 20_000);
  }
});
