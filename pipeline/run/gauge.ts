import type { Metrics } from "../artifact.ts";
import type { MemoryUse } from "../event.ts";

/** Between two looks at memory. */
const LOOK_MS = 250;
/** Parts of the work whose times are kept; work in more parts than that is not told by them. */
const LAPS = 256;

/** What tools may say of the machine; nothing of a device they have not opened. */
interface TellingTools {
  readonly deviceBytes?: () => number | undefined;
  readonly environment?: () => Promise<Readonly<Record<string, string>>>;
}

/** Watches the memory and the parts of one call of a stage. */
export class Gauge implements Disposable {
  readonly #tools: TellingTools;
  readonly #start = performance.now();
  readonly #peakBefore = peakRss();
  readonly #laps = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #rss = 0;
  /** Held before by steps that were at work before. */
  readonly #deviceBefore: number | undefined;
  #deviceBytes: number | undefined;

  constructor(tools: unknown) {
    this.#tools = typeof tools === "object" && tools !== null ? tools : {};
    this.#deviceBefore = this.#tools.deviceBytes?.();
    this.memory();
    this.#timer = setInterval(() => this.memory(), LOOK_MS);
    this.#timer.unref();
  }

  /** Seconds since the call began, to the millisecond. */
  get seconds(): number {
    return Math.round(performance.now() - this.#start) / 1000;
  }

  /** What the process holds now. */
  memory(): MemoryUse {
    const { rss } = Deno.memoryUsage();
    const deviceBytes = this.#tools.deviceBytes?.();
    this.#rss = Math.max(this.#rss, rss);
    if (!deviceBytes) return { rss };
    if (deviceBytes !== this.#deviceBefore || this.#deviceBytes !== undefined) {
      this.#deviceBytes = Math.max(this.#deviceBytes ?? 0, deviceBytes);
    }
    return { rss, deviceBytes };
  }

  /** Takes what progress says it is at: the words before the first comma name the part. */
  reach(note: string | undefined): void {
    const part = note?.split(",", 1)[0];
    if (part && !this.#laps.has(part) && this.#laps.size <= LAPS) {
      this.#laps.set(part, this.seconds);
    }
  }

  /** What the call took so far. */
  async metrics(): Promise<Metrics> {
    this.memory();
    // The system's own peak sees what happens between two looks, but only if it is a new one.
    const peak = peakRss();
    const deviceBytes = this.#deviceBytes;
    const { adapter } = deviceBytes ? await this.#tools.environment?.() ?? {} : {};
    const laps = [...this.#laps].map(([part, at]) => ({ part, at }));
    return {
      rss: peak > this.#peakBefore ? Math.max(peak, this.#rss) : this.#rss,
      ...deviceBytes && { deviceBytes },
      ...adapter !== undefined && { adapter },
      ...laps.length > 0 && laps.length <= LAPS && { laps },
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Most memory this process ever held, where the system says; else 0. */
function peakRss(): number {
  if (Deno.build.os !== "linux") return 0;
  try {
    const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/self/status")) ?? [];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0;
  }
}
