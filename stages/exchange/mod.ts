import type { Format } from "./format.ts";

/** How each format is read in, by the name that manifests have for it. */
export const FORMAT_LOADERS: Readonly<Record<string, () => Promise<Format>>> = {
  auto_awq: async () => (await import("./auto_awq/format.ts")).auto_awq,
  compressed_tensors: async () =>
    (await import("./compressed_tensors/format.ts")).compressed_tensors,
  gguf: async () => (await import("./gguf/format.ts")).gguf,
  gptq: async () => (await import("./gptq/format.ts")).gptq,
  gptq_v2: async () => (await import("./gptq/format.ts")).gptq_v2,
  huggingface: async () => (await import("./huggingface/format.ts")).huggingface,
  qserve: async () => (await import("./qserve/format.ts")).qserve,
  tinychat: async () => (await import("./tinychat/format.ts")).tinychat,
};
