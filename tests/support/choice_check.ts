import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import type { Choices } from "../../kernels/device/limits.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";
import { elements } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { launched } from "./case_check.ts";
import { guardedGpu } from "./guarded_pool.ts";
import { casesOf, hostsOf } from "./kernel_cases.ts";
import { sharedAdapter } from "./shared_gpu.ts";

/** Values of a case beyond which its kernel's smaller ones do. */
const MOST_VALUES = 2 ** 16;

/**
 * Runs the cases whose plan a choice changes by both plans, and gives how many those were by shader, at
 * most so many of each; throws where one has other bits.
 */
export async function checkChoices(
  choices: Choices,
  { most = Infinity, usual: first = {} }: {
    readonly most?: number;
    /** What the other plan is held against, where it is not what sizes alone decide. */
    readonly usual?: Choices;
  } = {},
): Promise<Record<string, number>> {
  const adapter = await sharedAdapter();
  await using usual = await guardedGpu({ adapter, choices: first });
  await using other = await guardedGpu({ adapter, choices });
  const counted: Record<string, number> = {};
  for (const [name, kernel] of Object.entries<AnyKernel>(kernels)) {
    for (const one of casesOf(name, kernel)) {
      const sizes = Object.values(one.inputs).map(({ shape }) => elements(shape));
      if (one.timedOnly || Math.max(...sizes) > MOST_VALUES) continue;
      const plans = [usual, other].map(({ device }) =>
        kernel.plan(one.inputs, one.options, device.limits)
      );
      if (JSON.stringify(plans[0]) === JSON.stringify(plans[1])) continue;
      const shader = `${name} ${plans[1]!.shader}`;
      if ((counted[shader] ?? 0) >= most) continue;
      counted[shader] = (counted[shader] ?? 0) + 1;
      const hosts = hostsOf(one);
      const expected = await launched(usual, kernel, one, hosts);
      const second = await launched(other, kernel, one, hosts);
      for (const [output, { data }] of Object.entries(expected)) {
        assert.ok(
          Buffer.from(data.buffer).equals(Buffer.from(second[output]!.data.buffer)),
          `${one.label} ${output} has other bits by ${shader}`,
        );
      }
    }
  }
  return counted;
}
