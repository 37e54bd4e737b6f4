import type { Description } from "../../pipeline/description.ts";
import { formatBytes } from "../../pipeline/words.ts";
import { defineCommand, descriptionText, tellingErrors } from "../../pipeline/cli/mod.ts";
import { cachedModels } from "../formats/hub/cached.ts";
import { SMALL_MODELS } from "./small_models.ts";

/** Lists the models of the hub that are here, and small ones to try. */
export const models = defineCommand({
  run: tellingErrors(async ({ screen, flags }) => {
    const { folder, models } = await cachedModels();
    if (flags.json) {
      screen.write(`${JSON.stringify({ type: "models", folder, models, toTry: SMALL_MODELS })}\n`);
      return 0;
    }
    const number = true;
    const here = new Set(models.map(({ name }) => name));
    const description: Description = {
      title: `models in ${folder}`,
      sections: [
        {
          title: "Here",
          ...models.length === 0 ? { lines: ["none yet"] } : {
            table: {
              columns: [{ heading: "model" }, { heading: "size", number }, { heading: "" }],
              rows: models.map(({ name, bytes, partial }) => [
                name,
                formatBytes(bytes),
                partial ? "not all of it yet; run again to go on" : "",
              ]),
            },
          },
        },
        {
          title: "To try",
          table: {
            columns: [
              { heading: "model" },
              { heading: "weights", number },
              { heading: "size", number },
              { heading: "about" },
            ],
            rows: SMALL_MODELS.filter(({ name }) => !here.has(name))
              .map(({ name, parameters, bytes, about }) => [
                name,
                parameters,
                formatBytes(bytes),
                about,
              ]),
          },
          notes: [
            "deno task run configs/qoq.yaml --set model=org/name fetches one and quantizes it",
          ],
        },
      ],
      warnings: [],
    };
    screen.write(descriptionText(description, screen));
    return 0;
  }),
});
