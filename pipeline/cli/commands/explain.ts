import { tellingErrors, UsageError } from "../told_error.ts";
import { forcedSteps, namedStep } from "../selected_steps.ts";
import { openSharedStore } from "../open_store.ts";
import { explain as explainStep } from "../../plan/explanation.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import type { RunRecord } from "../../store/runs.ts";
import { explainText } from "../../tell/terminal/explain_text.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** Says of one step what a run would do with it and why. */
export const explain = defineCommand({
  words: [
    ["<manifest>", "a YAML file, such as configs/qoq.yaml"],
    ["<step>", "the name of one of its steps"],
  ],
  options: (command) =>
    void command.option(
      "--against <run>",
      "compare with this run: the beginning of its id, last, or last-good",
    ),
  run: tellingErrors(
    async ({ program, screen, flags, words: [path = "", word = ""], own }) => {
      const stages = await stagesOf(program);
      const manifest = await readManifest(path, { stages, set: flags.set });
      const { against: named } = own;
      const explanation = await explainStep(manifest, {
        step: namedStep(manifest, word),
        store: await openSharedStore(path, flags, manifest),
        stages,
        force: forcedSteps(manifest, flags.force),
        against: typeof named === "string" ? (runs) => findRun(runs, named) : undefined,
      });
      const line = { type: "explain", ...explanation };
      screen.write(flags.json ? `${JSON.stringify(line)}\n` : explainText(explanation, screen));
      return explanation.state === "blocked" ? 1 : 0;
    },
  ),
});

/** The run that a word names; `runs` has the newest first. */
function findRun(runs: readonly RunRecord[], word: string): RunRecord {
  const found = word === "last"
    ? runs.slice(0, 1)
    : word === "last-good"
    ? runs.filter(({ state }) => state === "ok").slice(0, 1)
    : runs.filter(({ id }) => id.startsWith(word));
  const [run] = found;
  if (run && found.length === 1) return run;
  const listed = (found.length > 0 ? found : runs).slice(0, 3).map(({ id }) => id);
  const known = listed.length > 0 ? `, such as ${listed.join(", ")}` : "; none is remembered";
  throw new UsageError(
    `Cannot explain against run "${word}": ${
      found.length > 0 ? `${found.length} runs begin so` : "there is none"
    }, expected last, last-good or one${known}`,
  );
}
