import { PickleGlobal, type PickleRules, type PickleValue } from "./pickle.ts";
import type { SafetensorsDType } from "../safetensors/header.ts";

/** Element types of torch's storages, by safetensors name, with their bytes. */
const STORAGES: Readonly<Record<string, readonly [SafetensorsDType, number]>> = {
  "torch.DoubleStorage": ["F64", 8],
  "torch.FloatStorage": ["F32", 4],
  "torch.HalfStorage": ["F16", 2],
  "torch.BFloat16Storage": ["BF16", 2],
  "torch.LongStorage": ["I64", 8],
  "torch.IntStorage": ["I32", 4],
  "torch.ShortStorage": ["I16", 2],
  "torch.CharStorage": ["I8", 1],
  "torch.ByteStorage": ["U8", 1],
  "torch.BoolStorage": ["BOOL", 1],
};

/** Memory that tensors share: a file of the archive. */
class TorchStorage {
  constructor(
    /** Name of its file under `data/`. */
    readonly key: string,
    readonly dtype: SafetensorsDType,
    readonly elementBytes: number,
    /** Elements. */
    readonly length: number,
  ) {}
}

/** A tensor of a torch file: a view of a storage. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    /** The first element, counted in elements. */
    readonly offset: number,
    readonly shape: readonly number[],
    /** Elements from one index of an axis to the next. */
    readonly strides: readonly number[],
  ) {}
}

const DIMENSIONS = 8;

/** What a file of `torch.save` may hold: tensors, mappings and lists; see torch/_weights_only_unpickler.py. */
export const TORCH_RULES: PickleRules = {
  calls: {
    "collections.OrderedDict": (args) => orderedDict(args),
    "torch._utils._rebuild_tensor_v2": (args) => rebuildTensor(args),
    "torch._utils._rebuild_parameter": ([tensor]) => {
      if (tensor instanceof TorchTensor) return tensor;
      throw new TypeError("it makes a parameter of something else than a tensor");
    },
    "torch.Size": ([sizes]) => sizes ?? [],
  },
  names: Object.keys(STORAGES),
  persistent(id) {
    const [kind, type, key, , length] = Array.isArray(id) ? id : [];
    const found = type instanceof PickleGlobal ? STORAGES[type.name] : undefined;
    if (kind !== "storage" || !found || typeof key !== "string" || !isCount(length)) {
      throw new TypeError("it refers to something outside that is no storage of torch");
    }
    if (!/^\w+$/.test(key)) {
      throw new TypeError(`it refers to storage ${JSON.stringify(key)}, expected a plain name`);
    }
    return new TorchStorage(key, ...found, length);
  },
};

function orderedDict([items]: readonly PickleValue[]): PickleValue {
  const map = new Map<PickleValue, PickleValue>();
  for (const pair of Array.isArray(items) ? items : []) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new TypeError("it makes a mapping of something else than pairs");
    }
    map.set(pair[0]!, pair[1]!);
  }
  return map;
}

function rebuildTensor(args: readonly PickleValue[]): TorchTensor {
  const [storage, offset, shape, strides] = args;
  if (
    !(storage instanceof TorchStorage) || !isCount(offset) || !isCounts(shape) ||
    !isCounts(strides) || shape.length !== strides.length || shape.length > DIMENSIONS
  ) {
    throw new TypeError("it makes a tensor of something else than a storage, an offset and sizes");
  }
  const empty = shape.includes(0);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  if (!empty && last >= storage.length) {
    throw new RangeError(
      `a tensor [${
        shape.join(", ")
      }] reaches element ${last} of storage ${storage.key}, expected less than ${storage.length}`,
    );
  }
  return new TorchTensor(storage, offset, shape, strides);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}
