import type { Flags } from "../flags.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import type { Manifest, Step } from "../../manifest/manifest.ts";
import { readResolved } from "../../manifest/read_manifest.ts";
import { suggestion } from "../../manifest/nearest.ts";
import { type OriginRow, rowsOf } from "../../manifest/origin.ts";
import { sourceOf } from "../../manifest/override.ts";
import { manifestText } from "../../manifest/show.ts";
import { plainText } from "../../words.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** What can be done with a manifest's configuration. */
const ACTIONS = ["show"];

/** A step with where each of its values comes from. */
type Shown = Step & { readonly rows: readonly OriginRow[] };

/** Shows a manifest with everything written out. */
export const config = defineCommand({
  words: [["<show>", "the word show"], ["[manifest]", "a YAML file, such as configs/qoq.yaml"]],
  options: (command) =>
    void command.option("--origin", "say behind every value where it comes from"),
  run: tellingErrors(
    async ({ program, screen, flags, words: [action = "", path = ""], own }) => {
      if (!ACTIONS.includes(action)) {
        throw new UsageError(
          path === "" && /\.ya?ml$/.test(action)
            ? `Cannot tell what to do with ${action}: there is no word before it, expected config show ${action}`
            : `Cannot ${action} a configuration: ${suggestion(action, ACTIONS)}`,
        );
      }
      if (path === "") {
        throw new UsageError("Cannot show a manifest: none is named, expected one behind show");
      }
      const { manifest, words } = await readResolved(path, {
        stages: await stagesOf(program),
        set: flags.set,
      });
      const steps = manifest.steps.map((step): Shown => {
        const behind = words.get(step.name);
        return { ...step, rows: behind ? rowsOf(step, behind) : [] };
      });
      const origins = own.origin === true;
      const text = flags.json
        ? `${JSON.stringify({ type: "config", ...facts(manifest, { steps, origins }) })}\n`
        : `${heading(manifest, flags)}${manifestText(steps, { ...manifest, origins })}`;
      screen.write(text);
      return 0;
    },
  ),
});

function facts(
  { path, sources, params, verify, expect }: Manifest,
  { steps, origins }: { readonly steps: readonly Shown[]; readonly origins: boolean },
) {
  const told = steps.map(({ name, stage, inputs, params, rows }) => {
    const from = rows.map(({ path, origin }) => [path.join("."), origin] as const);
    return { name, stage, inputs, params, ...origins && { origins: Object.fromEntries(from) } };
  });
  return { manifest: path, sources, params, verify, expect, steps: told };
}

function heading({ sources }: Manifest, { set }: Flags): string {
  const files = sources.map(({ path }) => path).join(" over ");
  return [files, ...set.map(sourceOf)].map((text) => `# ${plainText(text)}\n`).join("");
}
