export { appendKv } from "./append_kv";
export { attention } from "./attention";
export { attentionPaged } from "./attention_paged";
export { fused, work } from "./engine";
export { matmul } from "./matmul";
export { rmsNorm } from "./rms_norm";
export { work } from "./engine";
