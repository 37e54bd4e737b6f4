import type { Forecast } from "../../stage.ts";
import { formatBytes } from "../../words.ts";
import type { Bounds } from "./bounds.ts";

/** Where in memory a step cannot fit, with the numbers. */
export function memoryProblems({ deviceBytes, hostBytes }: Forecast, bounds: Bounds): string[] {
  const { hostBytes: host = Infinity, deviceBytes: device } = bounds;
  const problems: string[] = [];
  const shared = device === "host";
  const memory = shared ? hostBytes + deviceBytes : hostBytes;
  if (memory > host) {
    const part = shared && deviceBytes > 0 ? `, ${formatBytes(deviceBytes)} as the device` : "";
    problems.push(
      `in memory: it takes ${formatBytes(memory)} at its peak${part}, expected at most ${
        formatBytes(host)
      }; free some memory, or say a larger --memory if the system has it`,
    );
  }
  if (typeof device === "number" && deviceBytes > device) {
    problems.push(
      `on the device: it takes ${formatBytes(deviceBytes)} at its peak, expected at most ${
        formatBytes(device)
      }; lower --memory, or what the step keeps at once`,
    );
  }
  return problems;
}

/** Why a step cannot fit on the disk, with the numbers. */
export function diskProblem({ needed, written, disk, store }: {
  readonly needed: number;
  readonly written: number;
  readonly disk: number;
  readonly store: string;
}): string {
  const before = written > 0 ? ` behind ${formatBytes(written)} of steps before it` : "";
  return `on the disk: it writes ${formatBytes(needed)}${before} and ${
    formatBytes(disk)
  } are free in ${store}, expected ${
    formatBytes(written + needed)
  }; free some, run gc, or choose another --store`;
}
