import { FILE_LIMITS } from "../file_limits.ts";

/** A name that a pickle refers to, such as `collections.OrderedDict`. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

/** What a pickle holds: plain data, and what globals and storages of it stand for. */
export type PickleValue =
  | string
  | number
  | boolean
  | null
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | object;

/** What a pickle may use beside plain data; everything else in it is refused. */
export interface PickleRules {
  /** Calls by the full name of the global, such as `torch.Size`. */
  readonly calls: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>>;
  /** Names that may stand as values, such as `torch.HalfStorage`. */
  readonly names: readonly string[];
  /** What a persistent id stands for. */
  persistent(id: PickleValue): PickleValue;
}

const MARK = Symbol("mark");
type Item = PickleValue | typeof MARK;

/**
 * The value of a pickle. Only data is made of it: nothing in it runs, no global is looked up.
 *
 * Opcodes are those of protocols 2 to 5 for plain data (pickletools of CPython); each makes at most
 * one object and shares what it repeats, and there are limits on both, so that memory is bounded.
 */
export function unpickle(bytes: Uint8Array, rules: PickleRules): PickleValue {
  if (bytes.length > FILE_LIMITS.pickle) {
    throw new RangeError(
      `a pickle of ${bytes.length} bytes, expected at most ${FILE_LIMITS.pickle}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: Item[] = [];
  const memo = new Map<number, PickleValue>();
  let at = 0;
  let objects = 0;

  const take = (count: number): number => {
    if (count > bytes.length - at) {
      throw new RangeError(`it ends within ${count} bytes from ${at}, expected them`);
    }
    at += count;
    return at - count;
  };
  const push = (item: Item) => {
    if (stack.length >= FILE_LIMITS.pickleStack) {
      throw new RangeError(`its stack grows beyond ${FILE_LIMITS.pickleStack}, expected less`);
    }
    if (typeof item === "object" && item !== null && ++objects > FILE_LIMITS.pickleObjects) {
      throw new RangeError(
        `it makes more than ${FILE_LIMITS.pickleObjects} objects, expected fewer`,
      );
    }
    stack.push(item);
  };
  const item = (value: Item | undefined): PickleValue => {
    if (value === undefined || value === MARK) throw new RangeError("its stack is empty at a use");
    return value as PickleValue;
  };
  const pop = () => item(stack.pop());
  const top = () => item(stack.at(-1));
  const popMarked = (): PickleValue[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) throw new RangeError("a mark is missing on its stack");
    return stack.splice(mark).slice(1) as PickleValue[];
  };
  const text = (length: number) => {
    if (length > FILE_LIMITS.pickleText) {
      throw new RangeError(`a text of ${length} bytes, expected at most ${FILE_LIMITS.pickleText}`);
    }
    const start = take(length);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(start, at));
  };
  const line = () => {
    const end = bytes.indexOf(10, at);
    const found = text((end < 0 ? bytes.length : end) - at);
    take(1);
    return found;
  };
  const wide = () => {
    const length = Number(view.getBigUint64(take(8), true));
    return Number.isSafeInteger(length) ? length : Infinity;
  };
  const global = (name: string) => {
    if (Object.hasOwn(rules.calls, name) || rules.names.includes(name)) {
      return push(new PickleGlobal(name));
    }
    throw new TypeError(
      `it names ${JSON.stringify(name)}, expected nothing but tensors in mappings and lists`,
    );
  };
  const recall = (index: number) => {
    if (!memo.has(index)) throw new RangeError(`it recalls ${index}, which it has not kept`);
    push(memo.get(index)!);
  };
  const keep = (index: number) => {
    if (memo.size >= FILE_LIMITS.pickleObjects) {
      throw new RangeError(
        `it keeps more than ${FILE_LIMITS.pickleObjects} objects, expected fewer`,
      );
    }
    memo.set(index, top());
  };
  const setAll = (pairs: readonly PickleValue[]) => {
    const map = top();
    if (!(map instanceof Map) || pairs.length % 2 !== 0) {
      throw new TypeError("it sets items of something else than a mapping");
    }
    for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i]!, pairs[i + 1]!);
  };
  const appendAll = (items: readonly PickleValue[]) => {
    const list = top();
    if (!Array.isArray(list)) throw new TypeError("it appends to something else than a list");
    for (const each of items) list.push(each);
  };
  const tuple = (count: number) => {
    if (stack.length < count) throw new RangeError("its stack is empty at a use");
    push(count === 0 ? [] : stack.splice(-count).map(item));
  };
  const call = () => {
    const [args, made] = [pop(), pop()];
    if (!(made instanceof PickleGlobal) || !Array.isArray(args)) {
      throw new TypeError("it calls something else than a name with a tuple");
    }
    const run = Object.hasOwn(rules.calls, made.name) ? rules.calls[made.name] : undefined;
    if (!run) throw new TypeError(`it calls ${made.name}, expected it as a value only`);
    push(run(args));
  };
  const long = (length: number) => {
    if (length > 8) {
      throw new RangeError(`an integer of ${length} bytes, expected at most 8`);
    }
    const start = take(length);
    let value = 0n;
    for (let i = 0; i < length; i++) value |= BigInt(bytes[start + i]!) << BigInt(8 * i);
    push(Number(BigInt.asIntN(8 * length, value)));
  };

  // One opcode each; the comments are its names in pickletools.
  const steps: Readonly<Record<string, () => unknown>> = {
    "\x80": () => checkProtocol(bytes[take(1)]!), // PROTO
    "\x95": () => take(8), // FRAME: how the rest is read is our own business
    "(": () => push(MARK),
    "0": () => stack.pop(), // POP
    "1": popMarked, // POP_MARK
    "2": () => push(top()), // DUP
    N: () => push(null),
    "\x88": () => push(true),
    "\x89": () => push(false),
    J: () => push(view.getInt32(take(4), true)), // BININT
    K: () => push(bytes[take(1)]!), // BININT1
    M: () => push(view.getUint16(take(2), true)), // BININT2
    "\x8a": () => long(bytes[take(1)]!), // LONG1
    "\x8b": () => long(view.getUint32(take(4), true)), // LONG4
    G: () => push(view.getFloat64(take(8), false)), // BINFLOAT
    X: () => push(text(view.getUint32(take(4), true))), // BINUNICODE
    "\x8c": () => push(text(bytes[take(1)]!)), // SHORT_BINUNICODE
    "\x8d": () => push(text(wide())), // BINUNICODE8
    "}": () => push(new Map()), // EMPTY_DICT
    "]": () => push([]), // EMPTY_LIST
    ")": () => push([]), // EMPTY_TUPLE
    "\x85": () => tuple(1),
    "\x86": () => tuple(2),
    "\x87": () => tuple(3),
    t: () => push(popMarked()), // TUPLE
    s: () => {
      const [value, key] = [pop(), pop()]; // SETITEM
      setAll([key, value]);
    },
    u: () => setAll(popMarked()), // SETITEMS
    a: () => {
      const last = pop(); // APPEND
      appendAll([last]);
    },
    e: () => appendAll(popMarked()), // APPENDS
    h: () => recall(bytes[take(1)]!), // BINGET
    j: () => recall(view.getUint32(take(4), true)), // LONG_BINGET
    q: () => keep(bytes[take(1)]!), // BINPUT
    r: () => keep(view.getUint32(take(4), true)), // LONG_BINPUT
    "\x94": () => keep(memo.size), // MEMOIZE
    c: () => {
      const module = line(); // GLOBAL
      global(`${module}.${line()}`);
    },
    "\x93": () => {
      const [name, module] = [pop(), pop()]; // STACK_GLOBAL
      if (typeof name !== "string" || typeof module !== "string") {
        throw new TypeError("it names a global by something else than two texts");
      }
      global(`${module}.${name}`);
    },
    R: call, // REDUCE
    b: () => {
      pop(); // BUILD: attributes of a mapping, such as the versions of modules
      if (!(top() instanceof Map)) {
        throw new TypeError("it gives attributes to something else than a mapping");
      }
    },
    Q: () => push(rules.persistent(pop())), // BINPERSID
  };

  for (;;) {
    const code = bytes[take(1)]!;
    if (code === 0x2e) return pop();
    const step = steps[String.fromCharCode(code)];
    if (!step) {
      throw new TypeError(
        `it has opcode ${
          OTHERS[String.fromCharCode(code)] ?? `0x${code.toString(16)}`
        }, expected those of plain data`,
      );
    }
    step();
  }
}

/** Names of opcodes that are refused, as pickletools has them. */
const OTHERS: Readonly<Record<string, string>> = {
  i: "INST",
  o: "OBJ",
  "\x81": "NEWOBJ",
  "\x92": "NEWOBJ_EX",
  P: "PERSID",
  "\x82": "EXT1",
  "\x83": "EXT2",
  "\x84": "EXT4",
  I: "INT",
  L: "LONG",
  F: "FLOAT",
  S: "STRING",
  T: "BINSTRING",
  U: "SHORT_BINSTRING",
  V: "UNICODE",
  B: "BINBYTES",
  C: "SHORT_BINBYTES",
  d: "DICT",
  l: "LIST",
  g: "GET",
  p: "PUT",
  "\x8e": "BINBYTES8",
  "\x8f": "EMPTY_SET",
  "\x90": "ADDITEMS",
  "\x91": "FROZENSET",
  "\x96": "BYTEARRAY8",
  "\x97": "NEXT_BUFFER",
  "\x98": "READONLY_BUFFER",
};

function checkProtocol(version: number): void {
  if (version >= 2 && version <= 5) return;
  throw new TypeError(`it is of protocol ${version}, expected 2 to 5`);
}
