export { auto_awq } from "./auto_awq.ts";
export { compressed_tensors } from "./compressed_tensors.ts";
export { gguf } from "./gguf.ts";
export { gptq, gptq_v2 } from "./gptq.ts";
export { huggingface } from "./huggingface.ts";
export { qserve } from "./qserve.ts";
export { tinychat } from "./tinychat.ts";
