import { createHash } from "node:crypto";
import { measureRates } from "./benchmark/device_rates.ts";
import type { MachineRates } from "./duration.ts";
import { applyHadamard, hadamardFactor } from "./quant/hadamard.ts";
import { openTools, type ToolFlags } from "./tools.ts";

/** Values that the host is timed with, and of rows as hidden states often are: an order beside a power of two. */
const [VALUES, ROW] = [2 ** 18, 576];

/** Measures how fast the device and the host are, in about half a second. */
export async function measureMachine(flags: ToolFlags): Promise<MachineRates> {
  await using tools = openTools(flags);
  const { bandwidth, integer, float } = await measureRates(await tools.device());
  const half = new Float16Array(VALUES).fill(1);
  const written = least(() => {
    const values = Float16Array.from(Float32Array.from(half));
    createHash("sha256").update(new Uint8Array(values.buffer)).digest();
  });
  const factor = hadamardFactor(ROW);
  const rows = new Float32Array(Math.floor(VALUES / ROW) * ROW);
  const rotated = least(() => applyHadamard(rows, factor));
  return {
    bandwidth,
    integer,
    float,
    written: half.byteLength / written,
    arithmetic: rows.length / rotated,
  };
}

/** Seconds that work takes, the least of a few. */
function least(work: () => void): number {
  let seconds = Infinity;
  for (let turn = 0; turn < 3; turn++) {
    const start = performance.now();
    work();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return seconds;
}
