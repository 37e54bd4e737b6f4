import type { Emit } from "../event.ts";
import { type Manifest, readManifest } from "../manifest.ts";
import { suggestion } from "../manifest/nearest.ts";
import { ManifestError } from "../manifest/problem.ts";
import { secondsSince } from "../run/clock.ts";
import { messageOf } from "../run/stage_error.ts";
import { plan, run } from "../runner.ts";
import { manifestSchema, parametersSchema } from "../schema.ts";
import type { Registry } from "../stage.ts";
import { replaceFile } from "../store/durable.ts";
import { Store } from "../store.ts";
import type { Screen } from "../terminal/screen.ts";
import { planText } from "../terminal/tables.ts";
import { tellJson, tellPeople } from "../terminal.ts";
import { type Flags, UsageError } from "./command_line.ts";
import { onInterrupt, onStrayError, STOPPED_STATUS } from "./interrupt.ts";
import { storeDirectory } from "./project.ts";
import { stagesText } from "./stages_text.ts";

/** What makes a pipeline runner into a program. */
export interface Program {
  readonly stages: Registry;
  /** Makes what stages get as `job.tools`, for the first step that is made; disposed at the end. */
  tools(flags: { readonly memory?: number }): unknown;
  /** Where to tell it; this process's output unless said. */
  readonly screen?: Screen;
}

/** A program with its screen, and what its user asked for. */
export interface Call {
  readonly program: Program;
  readonly screen: Screen;
  readonly flags: Flags;
}

/** Runs a manifest. */
export async function runCommand(path: string, { program, screen, flags }: Call): Promise<number> {
  using _guard = flags.json ? keepOutputClean() : undefined;
  const tell = flags.json ? tellJson(screen) : tellPeople(screen);
  const emit: Emit = (event) => {
    tell(event);
    if (flags.debug && event.type === "failed") screen.error(`${traceOf(event.error.cause)}\n`);
  };
  const start = performance.now();
  try {
    const { stages } = program;
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
    const { ok } = await run(manifest, {
      store: openStore(path, flags),
      stages,
      tools: () => program.tools(flags.memory === undefined ? {} : { memory: flags.memory }),
      emit,
      signal: controller.signal,
      force,
    });
    return ok ? 0 : controller.signal.aborted ? STOPPED_STATUS : 1;
  } catch (error) {
    if (flags.json && !(error instanceof UsageError)) {
      tellError(error, screen);
      emit({ type: "summary", ok: false, seconds: secondsSince(start), steps: [], scores: {} });
    }
    throw error;
  }
}

/** Says what a run would do. */
export async function planCommand(path: string, { program, screen, flags }: Call): Promise<number> {
  const { stages } = program;
  try {
    const manifest = await readManifest(path, { stages, set: flags.set });
    const store = openStore(path, flags);
    const force = forcedSteps(manifest, flags.force);
    const { steps } = await plan(manifest, { store, stages, force });
    const line = { type: "plan", manifest: path, store: store.path, steps };
    screen.write(flags.json ? `${JSON.stringify(line)}\n` : planText(steps, screen));
    return steps.some(({ state }) => state === "blocked") ? 1 : 0;
  } catch (error) {
    if (flags.json && !(error instanceof UsageError)) tellError(error, screen);
    throw error;
  }
}

/** Lists the stages. */
export function stagesCommand({ program, screen, flags }: Call): number {
  if (!flags.json) screen.write(stagesText(program.stages));
  for (const [name, stage] of flags.json ? Object.entries(program.stages) : []) {
    const { about, version, inputs, output } = stage;
    const line = { type: "stage", name, about, version, inputs, output };
    screen.write(`${JSON.stringify({ ...line, params: parametersSchema(stage) })}\n`);
  }
  return 0;
}

/** Prints or writes the JSON Schema of manifests. */
export async function schemaCommand(
  out: string | undefined,
  { program, screen, flags }: Call,
): Promise<number> {
  const text = `${JSON.stringify(manifestSchema(program.stages), null, 2)}\n`;
  if (out === undefined) screen.write(text);
  else await replaceFile(out, text);
  if (out !== undefined && flags.json) {
    screen.write(`${JSON.stringify({ type: "schema", path: out })}\n`);
  }
  return 0;
}

function openStore(manifest: string, { store: asked, verify }: Flags): Store {
  const environment = Deno.env.get("QUATTUOR_STORE");
  return new Store(storeDirectory(manifest, { asked, environment }), { verify });
}

function forcedSteps({ steps }: Manifest, force: string | undefined): Set<string> {
  const names = steps.map(({ name }) => name);
  if (force === "*") return new Set(names);
  const asked = force?.split(",").map((name) => name.trim()) ?? [];
  for (const name of asked) {
    if (names.includes(name)) continue;
    throw new UsageError(`Cannot force step "${name}": ${suggestion(name, names)}`);
  }
  return new Set(asked);
}

function tellError(error: unknown, screen: Screen): void {
  const problems = error instanceof ManifestError ? error.problems : undefined;
  const line = { type: "error", message: messageOf(error), ...problems && { problems } };
  screen.write(`${JSON.stringify(line)}\n`);
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
