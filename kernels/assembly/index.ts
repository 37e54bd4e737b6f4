export { appendKv } from "./append_kv";
export { work } from "./engine";
export { matmul } from "./matmul";
export { rmsNorm } from "./rms_norm";
