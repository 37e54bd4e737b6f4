import { resolve } from "node:path";
import { HERE, openStore } from "../open_store.ts";
import { tellingErrors } from "../told_error.ts";
import { findRuns } from "../../tell/inspect/named.ts";
import { allRuns, type RunRecord } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { replaceFile } from "../../store/durable.ts";
import { type Call, defineCommand } from "../command.ts";

/** Writes a page about a run. */
export const report = defineCommand({
  words: [["[run]", "a run's id, a manifest, or last for the last run (default: last)"]],
  options: (command) =>
    void command.option("--out <file>", "where to write it (default: report-<id>.html, here)"),
  run: tellingErrors(async (call) => {
    const { program: { describe }, screen, flags, own } = call;
    const { run, store } = await findRun(call);
    const { out = `report-${run.id}.html` } = own as { readonly out?: string };
    // They draw, which the other commands need not wait for.
    const { gatherReport } = await import("../../tell/report/gather.ts");
    const { reportPage } = await import("../../tell/report/page.ts");
    await replaceFile(out, await reportPage(await gatherReport(run, { store, describe })));
    const line = { type: "report", run: run.id, path: resolve(out) };
    screen.write(flags.json ? `${JSON.stringify(line)}\n` : `${out}\n`);
    return 0;
  }),
});

async function findRun(
  { flags, words: [word = "last"] }: Call,
): Promise<{ readonly run: RunRecord; readonly store: Store }> {
  if (await Deno.stat(word).then(({ isFile }) => isFile, () => false)) {
    const store = await openStore(word, flags);
    const run = (await allRuns(store.path)).find(({ manifest }) => manifest === resolve(word));
    if (run) return { run, store };
    throw new Error(
      `Cannot report on ${word}: the store ${store.path} remembers no run of it; run it first`,
    );
  }
  const store = await openStore(HERE, flags);
  const [run, ...others] = await findRuns(word, store);
  if (run === undefined) {
    throw new Error(
      `Cannot report on "${word}": the store ${store.path} remembers no such run, expected a run's id, a manifest, or last`,
    );
  }
  if (others.length === 0) return { run, store };
  const ids = [run, ...others].map(({ id }) => id).join(" or ");
  throw new Error(`Cannot report on "${word}": it may be ${ids}, expected one; add letters`);
}
