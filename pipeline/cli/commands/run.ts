import { machineFlags } from "../flags.ts";
import { commandAgain } from "../again.ts";
import { fitting } from "../fitting.ts";
import { addSelectionOptions, forcedSteps, selectedSteps } from "../selected_steps.ts";
import { addLockedOption, readLocks } from "../locks.ts";
import { onInterrupt, onStrayError, STOPPED_STATUS } from "../interrupt.ts";
import { addExecutorOption, openExecutor } from "../open_executor.ts";
import { openSharedStore, sizeCap } from "../open_store.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import type { Emit } from "../../event.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { secondsSince } from "../../words.ts";
import { messageOf } from "../../errors.ts";
import { run as runSteps } from "../../run/runner.ts";
import { type Detail, type Teller, tellJson, tellPeople } from "../../tell/terminal.ts";
import { catchConsole } from "../../tell/terminal/screen.ts";
import { type Call, defineCommand } from "../command.ts";

/** Makes every step of a manifest. */
export const run = defineCommand({
  about: "Make every step of a manifest",
  words: [["<manifest>", "a YAML file, such as configs/qoq.yaml"]],
  options: (command) =>
    void addLockedOption(addSelectionOptions(addExecutorOption(command)))
      .option("--lock", "state in <manifest>.lock.json what all was made from, after a good run")
      .option("-q, --quiet", "tell what went wrong and the summary only")
      .option("-v, --verbose", "tell every note with its data, those of reused artifacts too"),
  async run(call) {
    const { screen, flags } = call;
    const store = flags.store === undefined ? [] : ["--store", flags.store];
    const page = commandAgain(["report", ...call.words, ...store]);
    const telling = { detail: detailOf(call), again: commandAgain(call.args), page };
    using tell = flags.json ? tellJson(screen, telling) : tellPeople(screen, telling);
    // What packages print goes where it harms neither JSON lines nor what is drawn.
    using _console = flags.json || screen.columns > 0 ? catchConsole(tell.say) : undefined;
    const start = performance.now();
    try {
      return await tellingErrors(() => runManifest(call, { tell, again: telling.again }))(call);
    } catch (error) {
      if (flags.json && !(error instanceof UsageError)) {
        const seconds = secondsSince(start);
        tell.emit({ type: "summary", ok: false, seconds, steps: [], scores: {} });
      }
      throw error;
    }
  },
});

async function runManifest(
  call: Call,
  { tell, again }: { readonly tell: Teller; readonly again: string },
): Promise<number> {
  const { program, screen, flags, words: [path = ""], own } = call;
  const { stages } = program;
  const manifest = await readManifest(path, { stages, set: flags.set });
  const selected = selectedSteps(manifest, own);
  const force = forcedSteps(manifest, flags.force, selected);
  const locks = await readLocks(path, { own, selected });
  const controller = new AbortController();
  using _interrupt = onInterrupt(controller, {
    ask: () => tell.emit({ type: "stopping", again }),
    leave: () => {
      tell[Symbol.dispose]();
      screen.error(`\nStopped at once; what is finished is kept; to go on:\n  ${again}\n`);
    },
  });
  using _stray = onStrayError((error) => {
    tell[Symbol.dispose]();
    screen.error(`Cannot go on: ${messageOf(error)}\n`);
    if (flags.debug) screen.error(`${traceOf(error)}\n`);
  });
  const emit: Emit = (event) => {
    tell.emit(event);
    if (flags.debug && event.type === "failed") tell.error(traceOf(event.error.cause));
  };
  const store = await openSharedStore(path, flags, manifest);
  const executor = await openExecutor(own.executor, { store });
  const { ok } = await runSteps(manifest, {
    store,
    ...executor && { executor },
    stages,
    tools: () => program.tools(machineFlags(flags)),
    emit,
    signal: controller.signal,
    force,
    selected,
    maxBytes: sizeCap(flags),
    ...locks,
    ...fitting(call),
  });
  return ok ? 0 : controller.signal.aborted ? STOPPED_STATUS : 1;
}

function traceOf(error: unknown): string {
  return error instanceof Error && error.stack ? error.stack : String(error);
}

function detailOf({ own: { quiet, verbose } }: Call): Detail {
  if (quiet && verbose) throw new UsageError("Cannot be both --quiet and --verbose: say one");
  return quiet ? "quiet" : verbose ? "verbose" : "usual";
}
