export { attention } from "./attention.ts";
export { embed } from "./embed.ts";
export { matmul } from "./matmul.ts";
export { nll } from "./nll.ts";
export { rmsNorm } from "./rms_norm.ts";
export { rope } from "./rope.ts";
export { siluMul } from "./silu_mul.ts";
