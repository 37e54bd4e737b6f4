export { auto_awq } from "./auto_awq/format.ts";
export { compressed_tensors } from "./compressed_tensors/format.ts";
export { gguf } from "./gguf/format.ts";
export { gptq, gptq_v2 } from "./gptq/format.ts";
export { huggingface } from "./huggingface/format.ts";
export { qserve } from "./qserve/format.ts";
export { tinychat } from "./tinychat/format.ts";
