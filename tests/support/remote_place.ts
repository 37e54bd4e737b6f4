import { join } from "node:path";
import type { KeyDocument } from "../../pipeline/artifact.ts";
import type { Remote } from "../../pipeline/store/remote.ts";
import { openSharedDirectory } from "../../pipeline/store/remote/directory.ts";
import { type BucketOptions, openBucket } from "../../pipeline/store/remote/s3.ts";
import { Store } from "../../pipeline/store/store.ts";
import { FakeS3 } from "./s3_stub.ts";

/** Trouble is over sooner than with real servers. */
export const PACE = { tries: 4, pause: 1, patience: 2000 };

/** A place that several machines share, and a look at what lies in it. */
export interface Place extends AsyncDisposable {
  /** Opens it as another machine does. */
  open(): Promise<Remote>;
  /** Names of objects, sorted. */
  list(): Promise<string[]>;
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Replaces an object; removes it without bytes. */
  write(name: string, bytes?: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** An empty directory. */
export async function directoryPlace(): Promise<Place> {
  const root = await Deno.makeTempDir();
  return {
    open: () => openSharedDirectory(root),
    list: () => filesBelow(root),
    read: (name) => Deno.readFile(join(root, name)),
    write: async (name, bytes) => {
      await Deno.remove(join(root, name)).catch(() => {});
      if (bytes) await Deno.writeFile(join(root, name), bytes);
    },
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

/** An empty bucket behind a server on loopback; the prefix needs care in URLs. */
export async function bucketPlace(
  { prefix = "a b+c/ü(1)'*!", ...options }: Partial<BucketOptions> & { prefix?: string } = {},
): Promise<Place & { readonly server: FakeS3 }> {
  const server = await Promise.resolve(new FakeS3());
  const env = server.env();
  const full = (name: string) => `bucket/${prefix}/${name}`;
  return {
    server,
    open: () =>
      openBucket(`s3://bucket/${prefix}`, { env: (name) => env[name], pace: PACE, ...options }),
    list: () =>
      Promise.resolve(
        [...server.objects.keys()].map((name) => name.slice(full("").length)).sort(),
      ),
    read: (name) => Promise.resolve(server.objects.get(full(name))!),
    write: (name, bytes) => {
      if (bytes) server.objects.set(full(name), bytes);
      else server.objects.delete(full(name));
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** An artifact in a store of its own, made from some files. */
export async function makeArtifact(
  directory: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  value = 0,
): Promise<{ readonly key: string; readonly path: string; readonly digest: string }> {
  const recipe: KeyDocument = { stage: "constant", version: 1, params: { value }, inputs: {} };
  const { artifact } = await new Store(directory).make(recipe, {
    kind: "number",
    again: true,
    write: async (out) => {
      for (const [name, text] of Object.entries(files)) {
        await Deno.mkdir(join(out, name, ".."), { recursive: true });
        const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
        await Deno.writeFile(join(out, name), bytes);
      }
      return { scores: {}, notes: [] };
    },
  });
  return artifact;
}

/** Paths of all files below a directory, sorted. */
export async function filesBelow(root: string, below = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, below))) {
    const path = below === "" ? name : `${below}/${name}`;
    if (isDirectory) found.push(...await filesBelow(root, path));
    else found.push(path);
  }
  return found.sort();
}

/** Bytes that do not repeat, the same ones for the same seed. */
export function bytesOf(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0, x = seed; i < words.length; i++) words[i] = x = (x * 1664525 + 1013904223) >>> 0;
  return new Uint8Array(words.buffer, 0, size);
}
