import { createHash } from "node:crypto";
import type { DescribeOptions, Description } from "../../pipeline/description.ts";

/** Describes a text as token ids. */
export async function describeTokens(
  directory: string,
  { deep = false }: DescribeOptions,
): Promise<Description> {
  const record = JSON.parse(await Deno.readTextFile(`${directory}/tokens.json`)) as {
    readonly count: number;
    readonly digest: string;
  };
  const bytes = await Deno.readFile(`${directory}/tokens.u32`);
  const ids = new Uint32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
  let most = 0;
  const seen = new Set<number>();
  for (const id of ids) {
    most = Math.max(most, id);
    seen.add(id);
  }
  const digest = deep ? createHash("sha256").update(bytes).digest("hex") : undefined;
  return {
    title: `${ids.length} tokens`,
    sections: [{
      title: "Tokens",
      facts: [
        ["tokens", String(ids.length)],
        ["different ones", String(seen.size)],
        ["largest id", String(most)],
        ["sha256", `${record.digest}${digest === record.digest ? ", as read" : ""}`],
      ],
    }],
    warnings: [
      ...bytes.length === 4 * record.count
        ? []
        : [`tokens.json says ${record.count} tokens, tokens.u32 has ${bytes.length} bytes`],
      ...digest === undefined || digest === record.digest
        ? []
        : [`tokens.json says sha256 ${record.digest}, tokens.u32 has ${digest}`],
    ],
  };
}
