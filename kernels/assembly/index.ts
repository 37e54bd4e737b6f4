export { work } from "./engine";
export { matmul } from "./matmul";
export { matmulInt8 } from "./matmul_int8";
export { rmsNorm } from "./rms_norm";
