import { resolve } from "node:path";
import { HERE, openStore } from "../open_store.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import { namedStep } from "../selected_steps.ts";
import { findNamed } from "../../tell/inspect/named.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { plan } from "../../plan/plan.ts";
import { copyArtifact } from "../../store/copy_artifact.ts";
import { readRecord } from "../../store/record.ts";
import { shortPath } from "../../tell/terminal/screen.ts";
import { count, formatBytes } from "../../words.ts";
import { type Call, defineCommand, stagesOf } from "../command.ts";

const VERB = "check out";

/** Copies a finished artifact out of the store. */
export const checkout = defineCommand({
  words: [[
    "<what...>",
    "the first letters of an artifact's key or its path, or a manifest and one of its steps; then the directory, which --force replaces",
  ]],
  run: tellingErrors(async (call) => {
    const { screen, flags, words } = call;
    const to = words.at(-1);
    if (words.length < 2 || words.length > 3 || to === undefined) {
      throw new UsageError(
        `Cannot check out ${
          count(words.length, "word")
        }: expected an artifact or a manifest and a step, then a directory`,
      );
    }
    const { key, path } = await artifactOf(call);
    const read = await readRecord(path, key);
    if ("why" in read) {
      throw new Error(
        `Cannot check out ${path}: ${read.why}, expected an artifact; run it again`,
      );
    }
    const { record: { kind, digest, files } } = read;
    const bytes = await copyArtifact({ path, files }, to, { replace: flags.force !== undefined });
    const told = { key, kind, digest, path: resolve(to), files: files.length, bytes };
    screen.write(
      flags.json
        ? `${JSON.stringify({ type: "checkout", ...told })}\n`
        : `${kind} ${key.slice(0, 12)} in ${shortPath(resolve(to))}: ${
          count(files.length, "file")
        }, ${formatBytes(bytes)}\n`,
    );
    return 0;
  }),
});

/** The artifact that the words before the last name. */
async function artifactOf(
  { program, flags, words: [what = "", ...rest] }: Call,
): Promise<{ readonly key: string; readonly path: string }> {
  if (rest.length === 2) {
    const stages = await stagesOf(program);
    const manifest = await readManifest(what, { stages, set: flags.set });
    const step = namedStep(manifest, rest[0] ?? "");
    const store = await openStore(what, flags);
    const { steps, artifacts } = await plan(manifest, { store, stages, selected: new Set([step]) });
    const artifact = artifacts.get(step);
    if (artifact) return artifact;
    const reason = steps.find(({ name }) => name === step)?.reason ?? "not made";
    throw new Error(
      `Cannot check out step "${step}": ${reason}, expected its artifact; run it first`,
    );
  }
  const target = await findNamed(what, await openStore(HERE, flags), { verb: VERB });
  if (target.what === "artifact" && target.file === undefined) return target;
  const is = target.what === "artifact" ? "file of an artifact" : target.what;
  throw new Error(
    `Cannot check out "${what}": it is a ${is}, expected a finished artifact, or a manifest with a step`,
  );
}
