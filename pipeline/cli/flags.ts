import { type Command, InvalidArgumentError, Option } from "commander";
import type { Setting } from "../manifest/override.ts";
import { VERIFY, type Verify } from "../store/damage.ts";

/** Options that every command takes. */
export interface Flags {
  readonly json?: boolean;
  readonly store?: string;
  /** Where artifacts are shared with other machines. */
  readonly remote?: string;
  /** What `--set` and `--set-json` say, in their order. */
  readonly set: readonly Setting[];
  /** Patterns of names of steps with commas between them. */
  readonly force?: string;
  readonly verify?: Verify;
  /** How large the store may be, in bytes. */
  readonly maxSize?: number;
  readonly memory?: number;
  /** Where kernels run. */
  readonly device?: string;
  /** How many threads run them on the CPU. */
  readonly threads?: number;
  readonly debug?: boolean;
}

/** Adds them to a program; what `--set` and `--set-json` say goes into `set` as it is read. */
export function addFlags(program: Command, set: Setting[]): void {
  program
    .option("--json", "one JSON object a line on standard output, and nothing else")
    .option(
      "--set <name=value>",
      "set a param, or step.key=value; may be repeated",
      (text: string) => set.push(text),
    )
    .option(
      "--set-json <name=json>",
      "the same for lists and mappings",
      (json: string) => set.push({ json }),
    )
    .option(
      "--force [=steps]",
      "make these steps again, or all that are selected; those behind them only if bytes change",
      (text: string, before?: string) => before === undefined ? text : `${before},${text}`,
    )
    .option(
      "--store <dir>",
      "keep artifacts here (default: QUATTUOR_STORE, or .quattuor in the project)",
    )
    .option(
      "--remote <place>",
      "share artifacts with other machines: a directory, or s3://bucket/prefix " +
        "(default: QUATTUOR_REMOTE)",
    )
    .addOption(
      new Option(
        "--verify <how>",
        "before reuse, read files that changed since they were read last, only look at sizes, or " +
          "read all (default: what the manifest says, or stat)",
      ).choices(VERIFY),
    )
    .option(
      "--max-size <size>",
      "how large the store may be, such as 200GB, or none; what no run uses goes first " +
        "(default: QUATTUOR_MAX_SIZE, or 100 GB and half of what the disk has for it)",
      (text: string) => reading(text, parseCap),
    )
    .option(
      "--memory <size>",
      "memory that a step may take, such as 8GB (default: what is free, half of it for data)",
      (text: string) => reading(text, parseBytes),
    )
    .option(
      "--device <which>",
      "where kernels run: cpu, gpu, gpu:NAME, or auto, which is a graphics processor where there is " +
        "one and else the CPU (default: QUATTUOR_DEVICE, or auto)",
      (text: string) => reading(text, parseDevice),
    )
    .option(
      "--threads <number>",
      "run kernels on the CPU, on so many threads (default: one for each processor)",
      (text: string) => reading(text, parseThreads),
    )
    .option("--debug", "add where in the code something failed");
}

function reading<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** What stages are to work with, as far as the user says it. */
export type MachineFlags = Pick<Flags, "memory" | "device">;

/** The options of a command line that say it. */
export function machineFlags({ memory, device, threads }: Flags): MachineFlags {
  const chosen = device ?? (Deno.env.get("QUATTUOR_DEVICE") || undefined);
  const named = chosen === undefined ? undefined : parseDevice(chosen);
  if (threads !== undefined && named !== undefined && !/^(auto|cpu)$/.test(named)) {
    throw new RangeError(
      `Cannot run "${named}" on ${threads} threads: expected the CPU; leave --threads or the device out`,
    );
  }
  const where = threads === undefined ? named : `cpu:${threads}`;
  return { ...memory !== undefined && { memory }, ...where !== undefined && { device: where } };
}

function parseThreads(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new RangeError(`Cannot run "${text}" threads: expected a number from 1 to 999`);
}

/** The name of a device; throws a RangeError for anything else. */
function parseDevice(text: string): string {
  if (/^(auto|cpu|gpu(:.+)?)$/.test(text)) return text;
  throw new RangeError(
    `Cannot run kernels on "${text}": expected auto, cpu, gpu, or gpu:NAME with part of its name`,
  );
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** How large a store may be, from a size or the word `none`. */
export function parseCap(text: string): number {
  return text.trim() === "none" ? Infinity : parseBytes(text);
}

/** Bytes from a text such as `8GB`, `512MiB` or `1000000`; throws a RangeError for anything else. */
export function parseBytes(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const scale = UNITS[unit?.toLowerCase() ?? "none"];
  const bytes = Math.floor(Number(digits) * (scale ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new RangeError(`Cannot read "${text}" as a size: expected one such as 8GB or 512MiB`);
}
