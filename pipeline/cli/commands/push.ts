import { openStore, remoteOf } from "../open_store.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { plan } from "../../plan/plan.ts";
import type { Registry } from "../../stage.ts";
import { Store } from "../../store/store.ts";
import { count } from "../../words.ts";
import { type Call, defineCommand, stagesOf } from "../command.ts";

/** Copies what is made already to the remote; runs do so by themselves with what they make. */
export const push = defineCommand({
  words: [["<what>", "a YAML file, such as configs/qoq.yaml, or the beginning of a key"]],
  run: tellingErrors(async (call) => {
    const { screen, flags, words: [what = ""] } = call;
    const remote = await remoteOf(flags);
    if (remote === undefined) {
      throw new UsageError(
        "Cannot push: no remote is named, expected one in --remote or QUATTUOR_REMOTE",
      );
    }
    const store = openStore(what, flags);
    const shared = new Store(store.path, { remote });
    const keys = await keysOf(what, { ...call, store, stages: await stagesOf(call.program) });
    for (const key of keys) {
      const found = await store.inspect(key);
      if (found.state !== "whole") {
        throw new Error(
          `Cannot push ${key}: it is ${found.state} in ${store.path}; run it again`,
        );
      }
      await shared.push(found.stored.artifact);
      const line = { type: "pushed", key, remote: remote.name };
      if (flags.json) screen.write(`${JSON.stringify(line)}\n`);
    }
    const said = `${count(keys.length, "artifact")} of ${what} ${keys.length === 1 ? "is" : "are"}`;
    if (!flags.json) screen.write(`${said} in ${remote.name}\n`);
    return 0;
  }),
});

async function keysOf(
  what: string,
  { flags, store, stages }: Pick<Call, "flags"> & {
    readonly store: Store;
    readonly stages: Registry;
  },
): Promise<readonly string[]> {
  if (/^[0-9a-f]{4,64}$/.test(what)) {
    const found = (await store.keys()).filter((key) => key.startsWith(what));
    if (found.length === 1) return found;
    const are = found.length === 0 ? "no artifact's key begins" : `${found.length} keys begin`;
    throw new UsageError(`Cannot push "${what}": ${are} so in ${store.path}`);
  }
  const manifest = await readManifest(what, { stages, set: flags.set });
  const { artifacts } = await plan(manifest, { store, stages });
  return [...new Set([...artifacts.values()].map(({ key }) => key))];
}
