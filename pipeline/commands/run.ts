import { forcedSteps } from "../cli/forced_steps.ts";
import { onInterrupt, onStrayError, STOPPED_STATUS } from "../cli/interrupt.ts";
import { openStore } from "../cli/open_store.ts";
import { tellingErrors } from "../cli/told_error.ts";
import { UsageError } from "../cli/command_line.ts";
import type { Emit } from "../event.ts";
import { readManifest } from "../manifest.ts";
import { secondsSince } from "../run/clock.ts";
import { messageOf } from "../run/stage_error.ts";
import { run as runSteps } from "../runner.ts";
import { tellJson, tellPeople } from "../terminal.ts";
import { type Call, defineCommand } from "./command.ts";

/** Makes every step of a manifest. */
export const run = defineCommand({
  about: "Make every step of a manifest",
  words: [["<manifest>", "a YAML file, such as configs/qoq.yaml"]],
  async run(call) {
    const { screen, flags } = call;
    using _guard = flags.json ? keepOutputClean() : undefined;
    const tell = flags.json ? tellJson(screen) : tellPeople(screen);
    const emit: Emit = (event) => {
      tell(event);
      if (flags.debug && event.type === "failed") screen.error(`${traceOf(event.error.cause)}\n`);
    };
    const start = performance.now();
    try {
      return await tellingErrors(call, () => runManifest(call, emit));
    } catch (error) {
      if (flags.json && !(error instanceof UsageError)) {
        emit({ type: "summary", ok: false, seconds: secondsSince(start), steps: [], scores: {} });
      }
      throw error;
    }
  },
});

async function runManifest({ program, screen, flags, words }: Call, emit: Emit): Promise<number> {
  const { stages } = program;
  const [path = ""] = words;
  const manifest = await readManifest(path, { stages, set: flags.set });
  const force = forcedSteps(manifest, flags.force);
  const controller = new AbortController();
  using _interrupt = onInterrupt(controller, () => {
    screen.error("\nStopping at the next good moment; Ctrl-C again stops at once\n");
  });
  using _stray = onStrayError((error) => {
    screen.error(`Cannot go on: ${messageOf(error)}\n`);
    if (flags.debug) screen.error(`${traceOf(error)}\n`);
  });
  const { ok } = await runSteps(manifest, {
    store: openStore(path, flags),
    stages,
    tools: () => program.tools(flags.memory === undefined ? {} : { memory: flags.memory }),
    emit,
    signal: controller.signal,
    force,
  });
  return ok ? 0 : controller.signal.aborted ? STOPPED_STATUS : 1;
}

function traceOf(error: unknown): string {
  return error instanceof Error && error.stack ? error.stack : String(error);
}

/** Sends what packages print to standard error, so that standard output is JSON lines only. */
function keepOutputClean(): Disposable {
  const { console } = globalThis;
  const kept = { log: console.log, info: console.info, debug: console.debug };
  const stray = console.error.bind(console);
  Object.assign(console, { log: stray, info: stray, debug: stray });
  return { [Symbol.dispose]: () => void Object.assign(console, kept) };
}
