import type { Artifact } from "../../pipeline/artifact.ts";
import { writeSafetensors } from "../../stages/formats/safetensors/file.ts";
import { adaptedLinears } from "../../stages/models/adapted_linears.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { normals } from "./random.ts";
import type { StageChain } from "./stage_chain.ts";

/** A random adapter of all linears that may have one, as PEFT writes it. */
export async function randomAdapter(chain: StageChain, { path: model }: Artifact): Promise<string> {
  using files = await openModel(model);
  const path = await chain.directory();
  const r = 3;
  const config = { peft_type: "LORA", r, lora_alpha: 6, target_modules: "all-linear" };
  await Deno.writeTextFile(`${path}/adapter_config.json`, JSON.stringify(config));
  const values = (seed: string, count: number) => {
    const source = normals(seed);
    return Float32Array.from({ length: count }, () => 0.2 * source.next().value);
  };
  await writeSafetensors(
    `${path}/adapter_model.safetensors`,
    new Map(
      adaptedLinears(files.architecture).flatMap(({ name, rows, columns }) =>
        ([["A", r, columns], ["B", rows, r]] as const).map(([half, ...shape]) => [
          `base_model.model.${name}.lora_${half}.weight`,
          { shape, values: values(`${name} ${half}`, shape[0] * shape[1]) },
        ])
      ),
    ),
  );
  return path;
}
