import type { Limits } from "../device/limits.ts";
import shared from "./row_shared.wgsl" with { type: "text" };
import subgroup from "./row_subgroup.wgsl" with { type: "text" };

/** Threads of a subgroup that hand values round: fewer are not worth it, more are as good as so many. */
const LEAST_SHARE = 4;
const MOST_SHARE = 64;

/**
 * The shaders of a kernel whose workgroups know things together of a row: `shared` by way of workgroup
 * memory, `subgroup` of the same bits.
 */
export function rowShaders(text: string) {
  return { shared: `${shared}\n${text}`, subgroup: `${subgroup}\n${text}` };
}

/** Which of them a launch takes, with the constants that it expects beside `THREADS`. */
export function rowShare({ subgroupThreads = 0, choices }: Limits): {
  readonly shader: "shared" | "subgroup";
  readonly share: Readonly<Record<string, number>>;
  readonly subgroups?: true;
} {
  if (!choices?.rowSubgroups || subgroupThreads < LEAST_SHARE) {
    return { shader: "shared", share: {} };
  }
  const SHARE = Math.min(MOST_SHARE, subgroupThreads);
  return { shader: "subgroup", share: { SHARE }, subgroups: true };
}
