import { readManifest } from "../manifest/read_manifest.ts";
import { selectSteps } from "../manifest/selection.ts";
import { run } from "../run/runner.ts";
import { Runs } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { tellJson, tellPeople } from "../tell/terminal.ts";
import { commandAgain } from "./again.ts";
import { type Call, stagesOf } from "./command.ts";
import { machineFlags } from "./flags.ts";
import { fitting } from "./fitting.ts";
import { openSharedStore, sizeCap } from "./open_store.ts";
import { namedStep } from "./selected_steps.ts";

/** What a command needs of a manifest before it begins with its own work. */
export interface WantedStep {
  readonly manifest: string;
  /** Settings beside those of the command line. */
  readonly set?: readonly string[];
  /** The kinds of artifact that are wanted, the first one most. */
  readonly kinds: readonly string[];
  /** The step that makes it; the last that makes one of the first kind there is unless said. */
  readonly step?: string;
  /** What the command does with it, such as `serve`, for messages. */
  readonly verb: string;
  readonly signal: AbortSignal;
}

/** Makes what a manifest needs for one of its steps; gives the step's name and its artifact's key. */
export async function makeStep(
  call: Call,
  { manifest: path, set = [], kinds, step: asked, verb, signal }: WantedStep,
): Promise<{ readonly name: string; readonly key: string | undefined; readonly store: Store }> {
  const { program, screen, flags } = call;
  const stages = await stagesOf(program);
  const manifest = await readManifest(path, { stages, set: [...flags.set, ...set] });
  const name = asked === undefined
    ? kinds.map((kind) => manifest.steps.findLast(({ stage }) => stages[stage]?.output === kind))
      .find((step) => step !== undefined)?.name
    : namedStep(manifest, asked);
  if (name === undefined) {
    throw new Error(
      `Cannot ${verb} ${path}: no step makes a ${kinds.join(" or a ")}, expected one`,
    );
  }
  const store = await openSharedStore(path, flags, manifest);
  const telling = { detail: "quiet", again: commandAgain(call.args) } as const;
  using tell = flags.json ? tellJson(screen, telling) : tellPeople(screen, telling);
  const { ok } = await run(manifest, {
    store,
    stages,
    tools: () => program.tools(machineFlags(flags)),
    emit: tell.emit,
    signal,
    selected: selectSteps(manifest, { until: [name] }),
    maxBytes: sizeCap(flags),
    ...fitting(call),
  });
  if (!ok) throw new Error(`Cannot ${verb} ${path}: its steps were not made, see above`);
  return { name, key: (await Runs.open(store.path, path)).lastStep(name)?.key, store };
}
