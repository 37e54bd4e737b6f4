import { join } from "node:path";
import {
  type Call,
  defineCommand,
  descriptionText,
  findNamed,
  HERE,
  type Named,
  openStore,
  PacedProgress,
  readMakers,
  type Screen,
  type Store,
  tellingErrors,
} from "../../pipeline/cli/mod.ts";
import { count as counted } from "../../pipeline/words.ts";
import {
  checkExport,
  type ExportCheck,
  type ExportCheckOptions,
} from "../exchange/export_check.ts";

const VERB = "verify";

/** Checks an export against its format, an engine, and the model it was made from. */
export const verifyExport = defineCommand({
  words: [["<what>", "a directory, a GGUF file, or the first letters of an artifact's key"]],
  options: (command) =>
    void command
      .option(
        "--target <name>",
        "an engine or a format, such as vllm, vllm==0.33.0, llama.cpp or qserve",
      )
      .option(
        "--gpu <name>",
        "what the engine is to run on, such as h100, rtx4090 or mi300x; arm and x86 stand for CPUs",
      )
      .option(
        "--artifact <what>",
        "the model to compare with (default: the one of the store that it was made from)",
      ),
  run: tellingErrors(async (call) => {
    const { screen, flags, words: [word = ""] } = call;
    const store = openStore(HERE, flags);
    const path = pathOf(await findNamed(word, store, { verb: VERB }), word);
    const found = await checkExport(path, await optionsOf(call, store));
    const told = { path, ...targetOf(call), ...found };
    screen.write(flags.json ? jsonLines(told) : textOf(told, screen));
    return found.count === 0 ? 0 : 1;
  }),
});

async function optionsOf(
  { own, screen, flags }: Call,
  store: Store,
): Promise<ExportCheckOptions> {
  const { artifact: named, target, gpu } = own;
  const artifact = typeof named === "string"
    ? await original(await findNamed(named, store, { verb: `${VERB} with` }), named)
    : undefined;
  return {
    ...typeof target === "string" && { target },
    ...typeof gpu === "string" && { gpu },
    ...artifact && { artifact },
    find: (digest) => modelOf(digest, store),
    ...!flags.json && { progress: progressOn(screen) },
  };
}

/** A finished model of the store with these bytes. */
async function modelOf(digest: string, store: Store): Promise<string | undefined> {
  for (const { key, kind } of (await readMakers(store)).of(digest)) {
    if (kind !== "model") continue;
    const found = await store.inspect(key);
    if (found.state === "whole") return found.stored.artifact.path;
  }
  return undefined;
}

async function original(
  target: Named,
  word: string,
): Promise<NonNullable<ExportCheckOptions["artifact"]>> {
  const path = pathOf(target, word);
  if (target.what !== "artifact") return { path };
  const found = await target.store?.inspect(target.key);
  if (found?.state === "damaged") {
    throw new Error(
      `Cannot ${VERB} with "${word}": it is damaged: ${found.why}, expected a whole artifact`,
    );
  }
  return found?.state === "whole" ? { path, digest: found.stored.artifact.digest } : { path };
}

/** Where what a word names lies; a file of an artifact is meant only if it is a model by itself. */
function pathOf(target: Named, word: string): string {
  if (target.what === "place") return target.path;
  if (target.what === "artifact") {
    return target.file?.endsWith(".gguf") ? join(target.path, target.file) : target.path;
  }
  throw new Error(
    `Cannot ${VERB} "${word}": it is a ${target.what}, expected a directory, a file or an artifact`,
  );
}

function progressOn(screen: Screen): NonNullable<ExportCheckOptions["progress"]> {
  const start = performance.now();
  const paced = new PacedProgress();
  paced.start(VERB, 0);
  return (done, total, note) => {
    const event = { type: "progress", time: "", step: VERB, done, total, note } as const;
    const line = paced.line(event, (performance.now() - start) / 1000);
    if (line !== undefined) screen.error(`${line}\n`);
  };
}

function targetOf(
  { own: { target, gpu } }: Call,
): { readonly target?: string; readonly gpu?: string } {
  return { ...typeof target === "string" && { target }, ...typeof gpu === "string" && { gpu } };
}

type Told = ExportCheck & ReturnType<typeof targetOf> & { readonly path: string };

function jsonLines({ facts, breaches, warnings, ...told }: Told): string {
  const lines = [
    ...warnings.map((text) => ({ type: "warning", text })),
    ...breaches.map((breach) => ({ type: "breach", ...breach })),
    { type: "verified-export", ...told, facts: Object.fromEntries(facts) },
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

function textOf({ path, facts, breaches, count, warnings }: Told, screen: Screen): string {
  const more = count - breaches.length;
  const lines = [
    ...breaches.map(({ tensor, rule }) => tensor === undefined ? rule : `${tensor}: ${rule}`),
    ...more > 0 ? [`and ${more} more`] : [],
  ];
  const broken = `${counted(count, "rule")} ${count === 1 ? "is" : "are"} broken`;
  return descriptionText({
    title: `${path}: ${count === 0 ? "all rules hold" : broken}`,
    sections: [
      { title: "Export", facts },
      ...lines.length > 0 ? [{ title: "Broken rules", lines }] : [],
    ],
    warnings,
  }, screen);
}
