/**
 * Checks a graphics processor: whether every kernel agrees with its reference, what it gives, and how
 * fast models run. What was found is kept as JSON and as a page of Markdown even if it is cut off.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findAdapters, nameOf, refuseOldCompiler } from "../../kernels/device/adapter.ts";
import { Gpu } from "../../kernels/device/gpu.ts";
import { messageOf } from "../../pipeline/errors.ts";
import { Card } from "./card.ts";
import { chooseAdapter } from "./choose_adapter.ts";
import { type Findings, isFine, makeParts, timesOf } from "./findings.ts";
import { adapterRow, kernelParts } from "./kernel_parts.ts";
import { endAfter } from "./last_word.ts";
import { modelParts } from "./model_parts.ts";
import { JSON_FILE, PAGE, writeFindings } from "./report_files.ts";

/** Milliseconds in which a device that is not at work is given back. */
const DISPOSED = 1000;
const USAGE = `deno task gpu-check [options]

  --minutes N    how long it may take, 5 unless said; what matters most comes first
  --device NAME  the adapter whose name contains this, instead of the best graphics processor
  --out DIR      where ${PAGE} and ${JSON_FILE} go, here unless said
  --modules DIR  the directory whose node_modules has node-llama-cpp, to run llama.cpp beside it

Ends with 0 where nothing is wrong, 1 where something is, 2 where there is nothing to check. Where a
driver has not come back when the time is over, the process is killed; what was found is kept.`;

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "5" },
        device: { type: "string", default: "" },
        out: { type: "string", default: "." },
        modules: { type: "string", default: "." },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      Deno.stdout.writeSync(new TextEncoder().encode(`${USAGE}\n`));
      Deno.exit(0);
    }
    const minutes = Number(values.minutes);
    if (!(minutes > 0)) {
      throw new RangeError(`Cannot check for ${values.minutes} minutes: expected more than 0`);
    }
    Deno.exit(await check({ ...values, minutes }) ? 0 : 1);
  } catch (error) {
    say(messageOf(error));
    if (error instanceof TypeError && "code" in error) say(`\n${USAGE}`);
    Deno.exit(2);
  }
}

/** Makes the check and writes what it finds; true where nothing is wrong. */
async function check(
  { device, minutes, out, modules }: {
    readonly device: string;
    readonly minutes: number;
    readonly out: string;
    readonly modules: string;
  },
): Promise<boolean> {
  const times = timesOf(minutes);
  refuseOldCompiler();
  const named = device.replace(/^gpu(:|$)/, "");
  const adapter = chooseAdapter(await findAdapters().catch(() => []), named);
  const name = nameOf(adapter.info);
  const software = adapter.info.isFallbackAdapter;
  const given = { software, adapter: () => Promise.resolve(adapter) };
  await using card = await Card.open(() => Gpu.open({ adapter }), given)
    .catch((error) => {
      throw new Error(
        `Cannot open ${name}: ${
          messageOf(error)
        }, expected it to give what WebGPU promises; install its newest driver`,
        { cause: error },
      );
    });
  await Deno.mkdir(out, { recursive: true });
  const findings: Findings = {
    made: new Date().toISOString(),
    where: `Deno ${Deno.version.deno} on ${Deno.build.os} ${Deno.build.arch}`,
    adapter: adapterRow(adapter, card.gpu.name),
    sections: [],
  };
  let told = "";
  const keep = (now: Findings) => {
    writeFindings(out, now);
    const last = now.sections.at(-1);
    if (!last) return;
    const reason = last.reason ? ` (${last.reason})` : "";
    const line = last.state === "cut off" && !last.reason
      ? `${last.title} …`
      : `${last.title}: ${last.state}${reason}`;
    if (line !== told) say(line);
    told = line;
  };
  keep(findings);
  const kernels = kernelParts(card);
  const models = modelParts(card, { modules });
  const parts = [
    kernels.exact,
    kernels.ceilings,
    models.embedded,
    kernels.others,
    kernels.plans,
    ...models.shapes,
    models.llama,
    kernels.speeds,
  ];
  const titles = parts.map(({ title }) => title);
  endAfter({ after: times.end - performance.now() + DISPOSED, out, titles });
  await makeParts(findings, parts, { ...times, keep, renew: () => card.renew() });
  say(`${join(out, PAGE)} has it all; please paste it into an issue (GPU report)`);
  return isFine(findings);
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
