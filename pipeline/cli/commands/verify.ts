import { basename } from "node:path";
import { HERE, openStore } from "../open_store.ts";
import { tellingErrors } from "../told_error.ts";
import type { Store } from "../../store/store.ts";
import { takeInventory } from "../../store/inventory.ts";
import { isDirectory, removeAll } from "../../store/directories.ts";
import { isDamagedCopy } from "../../store/shared_files.ts";
import { shortPath } from "../../tell/terminal/screen.ts";
import { count, formatBytes } from "../../words.ts";
import { defineCommand } from "../command.ts";

/** Something in a store that is not as it was written. */
interface Damage {
  readonly type: "damaged";
  readonly path: string;
  readonly why: string;
  /** Where it was moved. */
  readonly moved?: string;
  readonly removed?: true;
}

/** Checks every artifact of the store. */
export const verify = defineCommand({
  options: (command) =>
    void command
      .option("--full", "read every byte, also of files that did not change since")
      .option(
        "--repair",
        "move what is damaged to quarantine, so that the next run makes it again",
      ),
  run: tellingErrors(async ({ screen, flags, own }) => {
    const how = own.full ? "full" : flags.verify ?? "stat";
    const store = await openStore(HERE, { ...flags, verify: how });
    if (!await isDirectory(store.path)) {
      throw new Error(`Cannot find a store in ${store.path}: name one with --store`);
    }
    const repair = own.repair === true;
    let found = 0;
    for await (const damage of findDamage(store, { repair, how })) {
      found++;
      screen.write(flags.json ? `${JSON.stringify(damage)}\n` : damageText(damage));
    }
    const artifacts = (await store.keys()).length;
    const { bytes, apparentBytes } = await takeInventory(store.path);
    const facts = { store: store.path, verify: how, artifacts, damaged: found };
    const words = [
      `${count(artifacts, "artifact")}, ${formatBytes(bytes)} on disk for ` +
      `${formatBytes(apparentBytes)} of files: `,
      found === 0 ? "all is as it was written" : `${found} damaged`,
      found > 0 && !repair ? "; a run makes them again, --repair moves them away now" : "",
    ].join("");
    const line = { type: "verified", ...facts, bytes, apparentBytes };
    screen.write(flags.json ? `${JSON.stringify(line)}\n` : `${words}\n`);
    return found === 0 ? 0 : 1;
  }),
});

async function* findDamage(
  store: Store,
  { repair, how }: { readonly repair: boolean; readonly how: string },
): AsyncGenerator<Damage> {
  for (const key of await store.keys()) {
    const found = await store.inspect(key);
    if (found.state !== "damaged") continue;
    const moved = repair ? { moved: await store.quarantine(key) } : {};
    const path = `${store.path}/artifacts/${key}`;
    yield { type: "damaged", path, why: found.why, ...moved };
  }
  if (how !== "full") return;
  // Those that artifacts share were read with them.
  for (const { places } of (await takeInventory(store.path)).shared) {
    const [path] = places;
    if (path === undefined || places.length > 1 || !await isDamagedCopy(path)) continue;
    if (repair) await removeAll(path);
    const why = "it has other bytes than its name says";
    yield { type: "damaged", path, why, ...repair && { removed: true } };
  }
}

function damageText({ path, why, moved, removed }: Damage): string {
  const then = moved ? `; moved to ${shortPath(moved)}` : removed ? "; removed" : "";
  return `damaged  ${basename(path).slice(0, 12)}: ${why}${then}\n`;
}
