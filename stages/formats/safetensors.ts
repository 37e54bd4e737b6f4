export { type CheckpointWriter, createCheckpointWriter } from "./checkpoint_writer.ts";
export { readHeader } from "./safetensors_header.ts";
export type {
  SafetensorsDType,
  SafetensorsHeader,
  TensorEntry,
  TensorSpecification,
} from "./safetensors_header.ts";
export { SafetensorsWriter } from "./safetensors_writer.ts";
