import { manifestSchema } from "../../manifest/schema.ts";
import { replaceFile } from "../../store/durable.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** Prints or writes the JSON Schema of manifests. */
export const schema = defineCommand({
  options: (command) => void command.option("--out <file>", "write it to a file"),
  async run({ program, screen, flags, own: { out } }) {
    const text = `${JSON.stringify(manifestSchema(await stagesOf(program)), null, 2)}\n`;
    if (typeof out !== "string") {
      screen.write(text);
      return 0;
    }
    await replaceFile(out, text);
    if (flags.json) screen.write(`${JSON.stringify({ type: "schema", path: out })}\n`);
    return 0;
  },
});
