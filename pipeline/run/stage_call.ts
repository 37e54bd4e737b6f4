import type { Artifact, Note } from "../artifact.ts";
import type { Emit } from "../event.ts";
import type { AnyStage, Job, Journal, Outcome } from "../stage.ts";
import type { Made } from "../store/store.ts";
import { parseInput } from "../manifest/wiring.ts";
import { Gauge } from "./gauge.ts";

/** Progress is told at most this often; more would only heat the terminal. */
const PROGRESS_MS = 100;

/** One call of a stage. */
export interface StageCall {
  readonly stage: AnyStage;
  readonly step: string;
  readonly params: unknown;
  /** Artifacts by input, as the manifest wires them. */
  readonly inputs: Readonly<Record<string, Artifact | readonly Artifact[]>>;
  readonly tools: unknown;
  readonly out: string;
  readonly journal: Journal;
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

/** Calls a stage, tells its progress and notes, and returns what it made beside its files. */
export async function callStage({ stage, params, ...call }: StageCall): Promise<Made> {
  const notes: Note[] = [];
  using gauge = new Gauge(call.tools);
  const job = openJob(call, { notes, gauge });
  const inputs = Object.entries(stage.inputs as Readonly<Record<string, string>>).map(
    ([name, text]) => [name, call.inputs[name] ?? (parseInput(text).list ? [] : undefined)],
  );
  try {
    const outcome: Outcome | void = await stage.run(job, Object.fromEntries(inputs), params);
    const scores = checkScores(outcome?.scores ?? {});
    return { scores, notes, metrics: await gauge.metrics() };
  } finally {
    job.close();
  }
}

function openJob(
  { step, tools, out, journal, signal, emit }: Omit<StageCall, "stage" | "params">,
  { notes, gauge }: { readonly notes: Note[]; readonly gauge: Gauge },
): Job & { close(): void } {
  let open = true;
  let told = -Infinity;
  return {
    tools,
    out,
    journal,
    signal,
    progress(done, total, note) {
      if (!open) return;
      gauge.reach(note);
      const now = performance.now();
      if (now - told < PROGRESS_MS && done < total) return;
      told = now;
      const memory = gauge.memory();
      emit({ type: "progress", step, done, total, ...note !== undefined && { note }, memory });
    },
    note(text, data, level) {
      if (!open) return;
      const note: Note = { text, ...data && { data }, ...level && { level }, at: gauge.seconds };
      notes.push(note);
      emit({ type: "note", step, ...note, replayed: false });
    },
    close: () => open = false,
  };
}

function checkScores(scores: Made["scores"]): Made["scores"] {
  for (const [name, score] of Object.entries(scores)) {
    if (Number.isFinite(score)) continue;
    throw new RangeError(`Cannot keep score "${name}": it is ${score}, expected a finite number`);
  }
  return scores;
}
