export { type CheckpointWriter, createCheckpointWriter } from "./checkpoint_writer.ts";
export { readHeader } from "./safetensors/header.ts";
export type {
  SafetensorsDType,
  SafetensorsHeader,
  TensorEntry,
  TensorSpecification,
} from "./safetensors/header.ts";
export { SafetensorsWriter } from "./safetensors/writer.ts";
