import { tensorBytes, type TensorSpecification } from "./safetensors/header.ts";
import { SafetensorsWriter } from "./safetensors/writer.ts";

/** Writes the weights of a checkpoint; see `createCheckpointWriter()`. */
export interface CheckpointWriter extends Disposable {
  /** Appends bytes to a tensor; tensors come in the announced order, each in one piece or more. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Ends the last file and writes the index where there are several; throws where bytes lack. */
  close(): Promise<void>;
}

/**
 * Starts the weights of a checkpoint in a directory, in one file or in shards with an index.
 *
 * Nothing is kept but the piece being written, and one file is open at a time. A shard takes whole
 * tensors up to `shardBytes`, 5 GB unless said.
 */
export async function createCheckpointWriter(
  directory: string,
  specifications: readonly TensorSpecification[],
  { shardBytes = 5e9 }: { readonly shardBytes?: number } = {},
): Promise<CheckpointWriter> {
  const names = new Set(specifications.map(({ name }) => name));
  if (names.size !== specifications.length) {
    throw new TypeError(
      `Cannot write "${directory}": a tensor name comes twice, expected each once`,
    );
  }
  await Deno.mkdir(directory, { recursive: true });
  const shards = fillShards(specifications, shardBytes);
  const pathOf = (shard: number) => `${directory}/${shardName(shard, shards.length)}`;
  const order = shards.flatMap((shard, at) => shard.map(({ name }) => ({ name, shard: at })));
  let open = { shard: 0, writer: await SafetensorsWriter.create(pathOf(0), shards[0] ?? []) };
  let next = 0;

  const advance = async (shard: number): Promise<void> => {
    if (shard === open.shard) return;
    await open.writer.close();
    open = { shard, writer: await SafetensorsWriter.create(pathOf(shard), shards[shard] ?? []) };
  };
  return {
    async write(name, bytes) {
      while (
        next < order.length - 1 && order[next]!.name !== name &&
        open.writer.missing(order[next]!.name) === 0
      ) {
        await advance(order[++next]!.shard);
      }
      const expected = order[next]?.name;
      if (name !== expected && names.has(name)) {
        throw new TypeError(
          `Cannot write tensor "${name}" to "${directory}": it is not its turn, expected ${
            expected === undefined ? "none" : `"${expected}"`
          }`,
        );
      }
      await open.writer.write(name, bytes);
    },
    async close() {
      await open.writer.close();
      const rest = order.find(({ shard }) => shard > open.shard);
      if (rest !== undefined) {
        throw new RangeError(
          `Cannot close "${directory}": tensor "${rest.name}" has 0 bytes, expected all of it`,
        );
      }
      if (shards.length > 1) await writeIndex(directory, shards);
    },
    [Symbol.dispose]: () => open.writer[Symbol.dispose](),
  };
}

function fillShards(
  specifications: readonly TensorSpecification[],
  shardBytes: number,
): TensorSpecification[][] {
  const shards: TensorSpecification[][] = [[]];
  let filled = 0;
  for (const specification of specifications) {
    const bytes = tensorBytes(specification);
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(specification);
    filled += bytes;
  }
  return shards;
}

function shardName(shard: number, shards: number): string {
  if (shards === 1) return "model.safetensors";
  const digits = (count: number) => String(count).padStart(5, "0");
  return `model-${digits(shard + 1)}-of-${digits(shards)}.safetensors`;
}

async function writeIndex(
  directory: string,
  shards: readonly (readonly TensorSpecification[])[],
): Promise<void> {
  const all = shards.flat();
  const metadata = {
    total_parameters: all.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    total_size: all.reduce((sum, specification) => sum + tensorBytes(specification), 0),
  };
  const weights = Object.fromEntries(
    shards.flatMap((shard, at) => shard.map(({ name }) => [name, shardName(at, shards.length)])),
  );
  const text = JSON.stringify({ metadata, weight_map: weights }, null, 2);
  await Deno.writeTextFile(`${directory}/model.safetensors.index.json`, text + "\n");
}
