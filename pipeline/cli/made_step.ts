import type { Step } from "../manifest/manifest.ts";
import { readManifest } from "../manifest/read_manifest.ts";
import { selectSteps } from "../manifest/selection.ts";
import { plan } from "../plan/plan.ts";
import type { StepDemand } from "../plan/preflight.ts";
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
  /** What the command wants of the step besides; see `StepDemand`. */
  demand?(step: Step, factsOf: Parameters<StepDemand["check"]>[0]): Promise<void>;
}

/** A step of a manifest that has been read, of which nothing has been made. */
export interface FoundStep {
  readonly name: string;
  readonly store: Store;
  /** Throws what planning tells against it, before anything else is begun. */
  refuse(signal: AbortSignal): Promise<void>;
  /** Makes what it needs, and it; gives its artifact's key. */
  make(signal: AbortSignal): Promise<string | undefined>;
}

/** Finds the step of a manifest that a command needs. */
export async function findStep(
  call: Call,
  { manifest: path, set = [], kinds, step: asked, verb, demand }: WantedStep,
): Promise<FoundStep> {
  const { program, screen, flags } = call;
  const stages = await stagesOf(program);
  const manifest = await readManifest(path, { stages, set: [...flags.set, ...set] });
  const name = asked === undefined
    ? kinds.map((kind) => manifest.steps.findLast(({ stage }) => stages[stage]?.output === kind))
      .find((step) => step !== undefined)?.name
    : namedStep(manifest, asked);
  const step = manifest.steps.find((step) => step.name === name);
  if (name === undefined || !step) {
    throw new Error(
      `Cannot ${verb} ${path}: no step makes a ${kinds.join(" or a ")}, expected one`,
    );
  }
  const store = await openSharedStore(path, flags, manifest);
  const options = {
    store,
    stages,
    selected: selectSteps(manifest, { until: [name] }),
    ...demand && { demand: { step: name, check: demand.bind(undefined, step) } },
    ...fitting(call),
  };
  return {
    name,
    store,
    async refuse(signal) {
      const [fault] = (await plan(manifest, { ...options, signal })).faults.values();
      if (fault !== undefined) throw fault;
    },
    async make(signal) {
      const telling = { detail: "quiet", again: commandAgain(call.args) } as const;
      using tell = flags.json ? tellJson(screen, telling) : tellPeople(screen, telling);
      const { ok } = await run(manifest, {
        ...options,
        tools: () => program.tools(machineFlags(flags)),
        emit: tell.emit,
        signal,
        maxBytes: sizeCap(flags),
      });
      if (!ok) throw new Error(`Cannot ${verb} ${path}: its steps were not made, see above`);
      return (await Runs.open(store.path, path)).lastStep(name)?.key;
    },
  };
}
