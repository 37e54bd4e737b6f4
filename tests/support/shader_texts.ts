import type { AnyKernel, KernelCase, Launch } from "../../kernels/device/kernel.ts";
import { type Limits, PROMISED_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { shaderSource } from "../../kernels/device/pipelines.ts";
import * as kernels from "../../kernels/mod.ts";

/** Limits that lead to different plans: those of any adapter, of most, and of large ones. */
export const PLANNED_LIMITS: Readonly<Record<string, Limits>> = {
  "WebGPU's default limits": PROMISED_LIMITS,
  "usual limits": USUAL_LIMITS,
  "other choices": { ...USUAL_LIMITS, choices: { slices: false } },
  "small tiles": { ...USUAL_LIMITS, choices: { integerTile: 32 } },
  "large tiles": { ...USUAL_LIMITS, choices: { integerTile: 128 } },
  ...Object.fromEntries([4, 8, 16, 32, 64].map((subgroupThreads) => {
    const choices = { subgroups: true, rowSubgroups: true, keySubgroups: true };
    return [`subgroups of ${subgroupThreads}`, { ...USUAL_LIMITS, choices, subgroupThreads }];
  })),
  "large limits": { ...USUAL_LIMITS, groupBytes: 2 ** 17, groupThreads: 2048 },
};

/** A shader as compilers get it, with the first case and limits whose plan leads to it. */
export interface ShaderText {
  readonly label: string;
  readonly code: string;
  readonly kernel: AnyKernel;
  readonly launch: Launch<string>;
}

/** Every shader text of every plan of every case under some limits, each once. */
export function shaderTexts(several: Readonly<Record<string, Limits>>): ShaderText[] {
  const found = new Map<string, ShaderText>();
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    (kernel.cases as readonly KernelCase<string, unknown>[]).forEach((one, index) => {
      for (const [where, limits] of Object.entries(several)) {
        const first = kernel.plan(one.inputs, one.options, limits);
        for (const launch of [first, ...first.then ? [{ ...first, ...first.then }] : []]) {
          const code = shaderSource(kernel, launch);
          const label = `${name} case ${index} with ${where}`;
          if (!found.has(code)) found.set(code, { label, code, kernel, launch });
        }
      }
    });
  }
  return [...found.values()];
}
