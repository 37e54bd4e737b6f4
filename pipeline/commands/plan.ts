import { forcedSteps } from "../cli/forced_steps.ts";
import { openStore } from "../cli/open_store.ts";
import { tellingErrors } from "../cli/told_error.ts";
import { readManifest } from "../manifest.ts";
import { plan as planSteps } from "../runner.ts";
import { planText } from "../terminal/tables.ts";
import { defineCommand } from "./command.ts";

/** Says what a run would do. */
export const plan = defineCommand({
  about: "Say what would run of a manifest, and why",
  words: [["<manifest>", "a YAML file, such as configs/qoq.yaml"]],
  run: (call) =>
    tellingErrors(call, async () => {
      const { program: { stages }, screen, flags, words: [path = ""] } = call;
      const manifest = await readManifest(path, { stages, set: flags.set });
      const store = openStore(path, flags);
      const force = forcedSteps(manifest, flags.force);
      const { steps } = await planSteps(manifest, { store, stages, force });
      const line = { type: "plan", manifest: path, store: store.path, steps };
      screen.write(flags.json ? `${JSON.stringify(line)}\n` : planText(steps, screen));
      return steps.some(({ state }) => state === "blocked") ? 1 : 0;
    }),
});
