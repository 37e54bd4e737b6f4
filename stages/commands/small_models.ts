/** A model of the hub that is small enough to try. */
export interface SmallModel {
  readonly name: string;
  readonly parameters: string;
  /** Bytes of its weights in half precision. */
  readonly bytes: number;
  readonly about: string;
}

/** Models to try, the smallest one first; all are of architectures that the program reads. */
export const SMALL_MODELS: readonly SmallModel[] = [
  {
    name: "HuggingFaceTB/SmolLM2-135M-Instruct",
    parameters: "135 M",
    bytes: 269e6,
    about: "Llama; chats a little, quantized in minutes on a CPU",
  },
  {
    name: "HuggingFaceTB/SmolLM2-360M-Instruct",
    parameters: "362 M",
    bytes: 724e6,
    about: "Llama; the next larger one",
  },
  {
    name: "Qwen/Qwen2.5-0.5B-Instruct",
    parameters: "494 M",
    bytes: 988e6,
    about: "Qwen 2; many languages",
  },
  {
    name: "Qwen/Qwen3-0.6B",
    parameters: "596 M",
    bytes: 1192e6,
    about: "Qwen 3; may think before it answers",
  },
  {
    name: "meta-llama/Llama-3.2-1B-Instruct",
    parameters: "1.2 B",
    bytes: 2472e6,
    about: "Llama 3.2; gated: accept its terms and set HF_TOKEN",
  },
];
