import { fitting } from "../fitting.ts";
import { addSelectionOptions, forcedSteps, selectedSteps } from "../selected_steps.ts";
import { addLockedOption, readLocks } from "../locks.ts";
import { openSharedStore } from "../open_store.ts";
import { tellingErrors } from "../told_error.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { plan as planSteps } from "../../plan/plan.ts";
import { planText, selectedText } from "../../tell/terminal/tables.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** Says what a run would do. */
export const plan = defineCommand({
  words: [["<manifest>", "a YAML file, such as configs/qoq.yaml"]],
  options: (command) => void addLockedOption(addSelectionOptions(command)),
  run: tellingErrors(async (call) => {
    const { program, screen, flags, words: [path = ""], own } = call;
    const stages = await stagesOf(program);
    const manifest = await readManifest(path, { stages, set: flags.set });
    const store = await openSharedStore(path, flags, manifest);
    const selected = selectedSteps(manifest, own);
    const force = forcedSteps(manifest, flags.force, selected);
    const { locked } = await readLocks(path, { own, selected });
    if (selected) {
      const event = { steps: [...selected], total: manifest.steps.length };
      const line = JSON.stringify({ type: "selected", ...event });
      screen.write(`${flags.json ? line : selectedText(event)}\n`);
    }
    const { machine, steps } = await planSteps(manifest, {
      store,
      stages,
      force,
      selected,
      locked,
      timing: "always",
      ...fitting(call),
    });
    const line = { type: "plan", manifest: path, store: store.path, machine, steps };
    screen.write(flags.json ? `${JSON.stringify(line)}\n` : planText(steps, screen, machine));
    return steps.some(({ state }) => state === "blocked") ? 1 : 0;
  }),
});
