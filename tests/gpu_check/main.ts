/**
 * Checks a graphics processor: whether every kernel agrees with its reference, what it gives, and how
 * fast models run. `deno task gpu-check [--minutes 5] [--device gpu] [--out gpu-check]` writes
 * `gpu-check.json` and `gpu-check.md`, which hold what was found even if it is cut off.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Gpu } from "../../kernels/device/gpu.ts";
import { chooseDevice } from "../../kernels/device/open_device.ts";
import { messageOf } from "../../pipeline/errors.ts";
import { type Findings, isFine, makeParts, markdownOf } from "./findings.ts";
import { adapterRow, kernelParts } from "./kernel_parts.ts";
import { modelParts } from "./model_parts.ts";

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "5" },
      device: { type: "string", default: "gpu" },
      out: { type: "string", default: "." },
    },
  });
  try {
    const minutes = Number(values.minutes);
    if (!(minutes > 0)) {
      throw new RangeError(`Cannot check for ${values.minutes} minutes: expected more than 0`);
    }
    Deno.exit(await check({ ...values, minutes }) ? 0 : 1);
  } catch (error) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${messageOf(error)}\n`));
    Deno.exit(2);
  }
}

/** Makes the check and writes what it finds; true where nothing is wrong. */
async function check(
  { device, minutes, out }: {
    readonly device: string;
    readonly minutes: number;
    readonly out: string;
  },
): Promise<boolean> {
  const deadline = performance.now() + 60_000 * minutes;
  const { adapter } = await chooseDevice(device);
  if (!adapter) {
    throw new Error(
      `Cannot check ${device}: it is no graphics processor, expected gpu or gpu:NAME`,
    );
  }
  const gpu = await Gpu.open({ adapter });
  const findings: Findings = {
    made: new Date().toISOString(),
    where: `Deno ${Deno.version.deno} on ${Deno.build.os} ${Deno.build.arch}`,
    adapter: adapterRow(adapter, gpu.name),
    sections: [],
  };
  await Deno.mkdir(out, { recursive: true });
  let told = "";
  const keep = (now: Findings) => {
    Deno.writeTextFileSync(join(out, "gpu-check.json"), `${JSON.stringify(now, null, 1)}\n`);
    Deno.writeTextFileSync(join(out, "gpu-check.md"), markdownOf(now));
    const last = now.sections.at(-1);
    if (!last) return;
    const reason = last.reason ? ` (${last.reason})` : "";
    const line = last.state === "cut off"
      ? `${last.title} …`
      : `${last.title}: ${last.state}${reason}`;
    if (line !== told) say(line);
    told = line;
  };
  keep(findings);
  const software = adapter.info.isFallbackAdapter;
  const [exact, ceilings, others, plans, speeds] = kernelParts(gpu, { software });
  const { embedded, shapes } = modelParts(gpu, { software });
  const parts = [exact!, ceilings!, embedded, others!, plans!, ...shapes, speeds!];
  await makeParts(findings, parts, { deadline, keep });
  await gpu[Symbol.asyncDispose]();
  say(`${join(out, "gpu-check.md")} has it all; please paste it into an issue (GPU report)`);
  return isFine(findings);
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
