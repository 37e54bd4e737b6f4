import { machineFlags } from "../flags.ts";
import { commandAgain } from "../again.ts";
import { fitting } from "../fitting.ts";
import { addSelectionOptions, forcedSteps, selectedSteps } from "../selected_steps.ts";
import { addLockedOption, readLocks } from "../locks.ts";
import { onInterrupt, onStrayError, STOPPED_STATUS } from "../interrupt.ts";
import { addExecutorOption, openExecutor } from "../open_executor.ts";
import { openSharedStore, sizeCap } from "../open_store.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import type { Describe, Headline } from "../../description.ts";
import type { Emit, RunEvent } from "../../event.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import { needsOf } from "../../manifest/needs.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { secondsSince } from "../../words.ts";
import { messageOf } from "../../errors.ts";
import { run as runSteps } from "../../run/runner.ts";
import type { Registry } from "../../stage.ts";
import { type Detail, type Teller, tellJson, tellPeople } from "../../tell/terminal.ts";
import type { Onward } from "../../tell/terminal/summary_text.ts";
import { catchConsole } from "../../tell/terminal/screen.ts";
import { type Call, defineCommand, stagesOf } from "../command.ts";

/** Makes every step of a manifest. */
export const run = defineCommand({
  words: [["<manifest>", "a YAML file, such as configs/qoq.yaml"]],
  options: (command) =>
    void addLockedOption(addSelectionOptions(addExecutorOption(command)))
      .option("--lock", "state in <manifest>.lock.json what all was made from, after a good run")
      .option("-q, --quiet", "tell what went wrong and the summary only")
      .option("--brief", "tell of a good run its results only, and what to do next")
      .option("-v, --verbose", "tell every note with its data, those of reused artifacts too"),
  async run(call) {
    const { screen, flags } = call;
    const store = flags.store === undefined ? [] : ["--store", flags.store];
    const page = {
      about: "A page about it",
      command: commandAgain(["report", ...call.words, ...store]),
    };
    const detail = detailOf(call);
    const onward = [page];
    const telling = { detail, again: commandAgain(call.args), onward };
    using tell = flags.json ? tellJson(screen, telling) : tellPeople(screen, telling);
    // What packages print goes where it harms neither JSON lines nor what is drawn.
    using _console = flags.json || screen.columns > 0 ? catchConsole(tell.say) : undefined;
    const start = performance.now();
    try {
      const told = (manifest: Manifest) => {
        if (detail === "brief") onward.push(...onwardOf(call, manifest));
      };
      return await tellingErrors(() => runManifest(call, { tell, again: telling.again, told }))(
        call,
      );
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
  { tell, again, told }: {
    readonly tell: Teller;
    readonly again: string;
    /** Called once the manifest has been read. */
    told(manifest: Manifest): void;
  },
): Promise<number> {
  const { program, screen, flags, words: [path = ""], own } = call;
  const stages = await stagesOf(program);
  const manifest = await readManifest(path, { stages, set: flags.set });
  told(manifest);
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
  // The summary waits for what came out.
  let summary: RunEvent | undefined;
  const results = new Map<string, string>();
  const emit: Emit = (event) => {
    if (event.type === "done" || event.type === "reuse") results.set(event.step, event.path);
    if (event.type === "summary") summary = event;
    else tell.emit(event);
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
    timing: "large",
    ...fitting(call),
  });
  if (!flags.json) {
    for (
      const headline of await headlinesOf(manifest, { stages, describe: program.describe, results })
    ) {
      tell.headline(headline);
    }
  }
  if (summary) tell.emit(summary);
  return ok ? 0 : controller.signal.aborted ? STOPPED_STATUS : 1;
}

function traceOf(error: unknown): string {
  return error instanceof Error && error.stack ? error.stack : String(error);
}

function detailOf({ own: { quiet, brief, verbose } }: Call): Detail {
  const said = Object.entries({ quiet, brief, verbose }).flatMap(([word, is]) => is ? [word] : []);
  const [one = "usual", other] = said;
  if (other === undefined) return one as Detail;
  throw new UsageError(`Cannot be both --${one} and --${other}: say one`);
}

/** What the program would do next, as commands. */
function onwardOf(
  { program, words: [manifest = ""] }: Call,
  { next = manifest }: Manifest,
): readonly Onward[] {
  return (program.onward?.(next) ?? [])
    .map(({ about, words }) => ({ about, command: commandAgain(words) }));
}

/** The gist of what came out of the steps that no other one reads, where there is some. */
async function headlinesOf(
  { steps }: Manifest,
  { stages, describe, results }: {
    readonly stages: Registry;
    readonly describe: Describe | undefined;
    readonly results: ReadonlyMap<string, string>;
  },
): Promise<readonly Headline[]> {
  const read = new Set(steps.flatMap(needsOf));
  const ends = steps.filter(({ name }) => !read.has(name) && results.has(name));
  const described = await Promise.all(ends.map(async ({ name, stage }) => {
    const kind = stages[stage]?.output;
    return await describe?.(results.get(name)!, { kind, headlineOnly: true });
  }));
  return described.flatMap((description) => description?.headline ?? []);
}
