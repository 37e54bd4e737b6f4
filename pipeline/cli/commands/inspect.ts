import { HERE, openStore } from "../open_store.ts";
import { tellingErrors } from "../told_error.ts";
import type { Description } from "../../description.ts";
import { describeArtifact, describeFiles } from "../../tell/inspect/artifact.ts";
import { describeJournal, describePlace, describeStore } from "../../tell/inspect/place.ts";
import { describeRun } from "../../tell/inspect/run.ts";
import { findNamed, type Named } from "../../tell/inspect/named.ts";
import { descriptionText } from "../../tell/inspect/text.ts";
import { defineCommand } from "../command.ts";

/** Says what an artifact, a run or a file really is. */
export const inspect = defineCommand({
  words: [[
    "<what>",
    "a path, the first letters of an artifact's key, a run's id, or last for the last run",
  ]],
  options: (command) =>
    void command.option("--deep", "read all values too, and tell of those that are no numbers"),
  run: tellingErrors(async ({ program: { describe }, screen, flags, words: [word = ""], own }) => {
    const store = await openStore(HERE, flags);
    const target = await findNamed(word, store);
    const description = await describeTarget(target, { describe, deep: own.deep === true });
    const { title, warnings, sections, figures = [], ...more } = description;
    const line = { type: "inspect", what: target.what, ...nameOf(target), title, warnings };
    screen.write(
      flags.json
        ? `${JSON.stringify({ ...line, sections, figures, ...more })}\n`
        : descriptionText(description, screen),
    );
    return 0;
  }),
});

async function describeTarget(
  target: Named,
  options: Parameters<typeof describeFiles>[1],
): Promise<Description> {
  switch (target.what) {
    case "artifact":
      return await describeArtifact(target, options);
    case "journal":
      return await describeJournal(target);
    case "run":
      return describeRun(target.run, { store: target.store, describe: options.describe });
    case "store":
      return await describeStore(target.store);
    case "place":
      return await describeFiles(target.path, options) ?? await describePlace(target.path);
  }
}

function nameOf(target: Named): Readonly<Record<string, string>> {
  switch (target.what) {
    case "artifact":
    case "journal":
      return { path: target.path, key: target.key };
    case "run":
      return { id: target.run.id };
    case "store":
      return { path: target.store.path };
    case "place":
      return { path: target.path };
  }
}
