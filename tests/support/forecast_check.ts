import { ok, strictEqual } from "node:assert/strict";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { CPU_LIMITS } from "../../kernels/device/limits.ts";
import type { ArtifactRecord } from "../../pipeline/artifact.ts";
import type { Summary } from "../../pipeline/event.ts";
import type { Forecast } from "../../pipeline/stage.ts";
import type { Manifest } from "../../pipeline/manifest/manifest.ts";
import type { Bounds } from "../../pipeline/plan/preflight.ts";
import { plan } from "../../pipeline/plan/plan.ts";
import { run } from "../../pipeline/run/runner.ts";
import type { Store } from "../../pipeline/store/store.ts";
import { factsOf } from "../../stages/facts.ts";
import * as stages from "../../stages/mod.ts";

const GB = 1e9;
const MEMORY = GB / 2;

/** Steps whose size no header tells: texts, and pictures. */
const ROUGH: readonly string[] = ["text", "calibration", "report", "compared"];
/** Bytes that bounds on small files have for texts. */
const TEXTS = 100_000;

/** What a step takes at its peak. */
export type PeakBytes = Pick<Forecast, "deviceBytes" | "hostBytes" | "diskBytes">;

/** What a run of a manifest really took, and what it came to. */
export interface Measurement {
  /** Bytes of the files of each step that was made. */
  readonly disk: ReadonlyMap<string, number>;
  /** The most that the device of each step that was made held. */
  readonly device: ReadonlyMap<string, number>;
  /** Directories of artifacts by step. */
  readonly paths: ReadonlyMap<string, string>;
  readonly summary: Summary;
}

/** Forecasts of a manifest's steps, which `run()` would make with as much memory as `measure()`. */
export async function forecasts(
  manifest: Manifest,
  store: Store,
  force: ReadonlySet<string> = new Set(),
): Promise<Map<string, PeakBytes>> {
  const bounds = (): Bounds => ({
    memoryBytes: MEMORY,
    hostBytes: 1000 * GB,
    diskBytes: 1000 * GB,
    limits: CPU_LIMITS,
  });
  const { steps } = await plan(manifest, { store, stages, force, facts: factsOf, bounds });
  return new Map(
    steps.flatMap(({ name, forecast }) => forecast ? [[name, forecast] as const] : []),
  );
}

/** Runs a manifest, each step on a device of its own. */
export async function measure(manifest: Manifest, store: Store): Promise<Measurement> {
  const disk = new Map<string, number>();
  const device = new Map<string, number>();
  const paths = new Map<string, string>();
  let open: Promise<Cpu> | undefined;
  const closed: Promise<unknown>[] = [];
  const summary = await run(manifest, {
    store,
    stages,
    tools: () => ({
      memoryBytes: MEMORY,
      // Without what was freed before, as the program's own.
      async device() {
        const device = await (open ??= Cpu.open());
        device.trim();
        return device;
      },
    }),
    emit(event) {
      if (event.type === "done" || event.type === "reuse") paths.set(event.step, event.path);
      if (event.type !== "done") return;
      closed.push((async (gpu) => {
        device.set(event.step, (await gpu)?.memory.peak ?? 0);
        await (await gpu)?.[Symbol.asyncDispose]();
        const record: ArtifactRecord = JSON.parse(
          await Deno.readTextFile(`${event.path}/artifact.json`),
        );
        disk.set(event.step, record.files.reduce((sum, { size }) => sum + size, 0));
      })(open));
      open = undefined;
    },
  });
  await Promise.all(closed);
  ok(summary.ok);
  return { disk, device, paths, summary };
}

/** Compares forecasts with what steps took: exact on the device, bounds on the disk. */
export function assertForecast(
  before: ReadonlyMap<string, PeakBytes>,
  { disk, device }: Measurement,
): void {
  for (const [name, held] of device) {
    const { deviceBytes, diskBytes } = before.get(name)!;
    strictEqual(deviceBytes, held, `device of ${name}`);
    assertBound(diskBytes, disk.get(name)!, `disk of ${name}`);
  }
}

/** A bound is no less than what is seen, and not much more; of texts it is only near. */
export function assertBound(got: number, seen: number, what: string): void {
  const least = ROUGH.some((name) => what.includes(name)) ? 0.75 * seen : seen;
  ok(got >= least && got <= 1.5 * seen + TEXTS, `${what}: ${got}, expected ${seen} or more`);
}
