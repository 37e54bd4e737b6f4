import { readOptionalJson } from "./foreign_json.ts";

/** Where programs said how weights are quantized before `config.json` did. */
const FILES = { "quantize_config.json": "gptq", "quant_config.json": "awq" } as const;

/** Names of AutoAWQ's own file, and what they are in `config.json`. */
const RENAMED = { w_bit: "bits", q_group_size: "group_size" } as const;

/**
 * What a file beside `config.json` says of quantization, in the words of `quantization_config`;
 * undefined where there is none, or where the config says it itself.
 */
export async function besideConfig(
  directory: string,
  config: unknown,
): Promise<{ readonly file: string; readonly quantization: object } | undefined> {
  const said = Object(config);
  if (said.quantization_config || said.compression_config) return undefined;
  for (const [file, method] of Object.entries(FILES)) {
    const json = await readOptionalJson(`${directory}/${file}`);
    if (typeof json !== "object" || json === null) continue;
    const entries = Object.entries(json)
      .map(([key, value]) => [RENAMED[key as keyof typeof RENAMED] ?? key, value]);
    return { file, quantization: { quant_method: method, ...Object.fromEntries(entries) } };
  }
  return undefined;
}
