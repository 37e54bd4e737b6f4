import { dirname, join } from "node:path";
import { ROOT } from "./source_files.ts";

/** What the program is made of. */
const PARTS = [
  "mod.ts",
  "deno.json",
  "deno.lock",
  "configs/measured.json",
  "configs/tuned.json",
  "kernels",
  "pipeline",
  "stages",
];

/** A temporary copy of the program, to which something is added. */
export class TreeCopy implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Copies the program. */
  static async make(): Promise<TreeCopy> {
    const copy = new TreeCopy(await Deno.makeTempDir());
    for (const part of PARTS) await copyAll(join(ROOT, part), join(copy.path, part));
    return copy;
  }

  /** Adds a file. */
  async add(path: string, text: string): Promise<void> {
    const full = join(this.path, path);
    await Deno.mkdir(dirname(full), { recursive: true });
    await Deno.writeTextFile(full, text, { createNew: true });
  }

  /** Puts a line behind the one that a text is in. */
  async addLine(path: string, line: string, after: string): Promise<void> {
    const full = join(this.path, path);
    const lines = (await Deno.readTextFile(full)).split("\n");
    const at = lines.findIndex((one) => one.includes(after));
    if (at < 0) throw new Error(`Cannot add a line to ${path}: nothing there has ${after}`);
    await Deno.writeTextFile(full, lines.toSpliced(at + 1, 0, line).join("\n"));
  }

  /** Runs its command line; throws what it says where its status is not 0. */
  async run(...args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "mod.ts", ...args],
      cwd: this.path,
    }).output();
    const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    if (!success) throw new Error(`${args.join(" ")}: ${errors}`);
    return out ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

async function copyAll(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) {
    await Deno.mkdir(dirname(to), { recursive: true });
    return await Deno.copyFile(from, to);
  }
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    await copyAll(join(from, name), join(to, name));
  }
}
