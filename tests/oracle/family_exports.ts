/**
 * Exports the models of `tests/testdata/families` as Hugging Face checkpoints in single precision, as they
 * are and rotated, for `family_exports.py` to run in transformers.
 *
 * Run: deno run -A tests/oracle/family_exports.ts OUT [variant ...]
 */
import { fileURLToPath } from "node:url";
import type { Artifact } from "../../pipeline/artifact.ts";
import { exportModel } from "../../stages/export.ts";
import { load } from "../../stages/load.ts";
import { rotate } from "../../stages/rotate.ts";
import { FAMILIES, StageChain } from "../support/stage_chain.ts";

const FOLDER = fileURLToPath(new URL("../testdata/families", import.meta.url));

const [out, ...variants] = Deno.args;
if (out === undefined) {
  throw new TypeError("Cannot export: no directory, expected family_exports.ts OUT");
}
await using chain = await StageChain.open();
for (const family of variants.length > 0 ? variants : FAMILIES) {
  const params = { model: `${FOLDER}/${family}`, dtype: "float32" };
  const plain = await chain.run(load, {}, params);
  const rotated = await chain.run(rotate, { model: plain }, { seed: 3 });
  for (const [what, model] of Object.entries<Artifact>({ plain, rotated })) {
    const format = { format: "huggingface", dtype: "float32" };
    const { path } = await chain.run(exportModel, { model, reports: [] }, format);
    const to = `${out}/${family}.${what}`;
    await Deno.mkdir(to, { recursive: true });
    for await (const { name } of Deno.readDir(path)) {
      await Deno.copyFile(`${path}/${name}`, `${to}/${name}`);
    }
  }
}
