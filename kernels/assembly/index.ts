export { fused, work } from "./engine";
export { matmul } from "./matmul";
export { rmsNorm } from "./rms_norm";
