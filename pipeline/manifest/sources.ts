import { dirname, isAbsolute, join, resolve } from "node:path";
import { sha256 } from "../store/hash.ts";
import { isNull, mergeTrees, parseYaml, wordFor, type YamlNode } from "./yaml_tree.ts";
import type { Place, Report } from "./problem.ts";

/** A file a manifest was read from. */
export interface SourceFile {
  /** As messages name it: relative to where the manifest's own path is. */
  readonly path: string;
  /** Of the file's bytes, as hex. */
  readonly sha256: string;
}

/** Reads a file as text; what it throws says in its message why it cannot. */
export type ReadText = (path: string) => string;

/** Files one manifest may be made of; links in a circle of directories look like ever more. */
const FILES = 100;

/** Bytes of a file: a manifest of 100,000 steps has 10 MB. */
const LONGEST = 2 ** 24;

type YamlMap = YamlNode & { readonly type: "map" };

/**
 * The tree of a manifest over those it extends, and all files that it took.
 *
 * The manifest comes first in `sources`. Each file is read once, however often it is extended.
 */
export function readSources(
  path: string,
  { text, read, report }: {
    readonly text: string;
    readonly read: ReadText;
    readonly report: Report;
  },
): { readonly root: YamlNode | undefined; readonly sources: readonly SourceFile[] } {
  const sources: SourceFile[] = [];
  const trees = new Map<string, YamlNode | undefined>();
  /** The files that are being read, each extended by the one before. */
  const trail: string[] = [];

  const treeOf = (path: string, text: string): YamlNode | undefined => {
    sources.push({ path, sha256: sha256(text) });
    trail.push(path);
    const read = parseYaml(text, { source: path, report });
    const own = read && imported(read, path);
    const tree = own?.type === "map" ? over(own, path) : own;
    trail.pop();
    trees.set(resolve(path), tree);
    return tree;
  };
  const over = (own: YamlMap, path: string): YamlNode => {
    const entries = new Map(own.entries);
    entries.delete("extends");
    const bases = basesOf(own.entries.get("extends")?.value, report).flatMap(({ name, place }) => {
      const full = isAbsolute(name) ? name : join(dirname(path), name);
      return extended(full, { name, place }) ?? [];
    });
    return [...bases, { ...own, entries }].reduce(mergeTrees);
  };
  /** A tree in which every mapping with `$import` has what that names, below what it has itself. */
  const imported = (node: YamlNode, path: string): YamlNode => {
    if (node.type === "scalar") return node;
    if (node.type === "list") {
      return { ...node, items: node.items.map((item) => imported(item, path)) };
    }
    const entries = new Map(
      [...node.entries].map(([name, entry]) =>
        [name, { ...entry, value: imported(entry.value, path) }] as const
      ),
    );
    entries.delete(IMPORT);
    const parts = basesOf(node.entries.get(IMPORT)?.value, report, IMPORTING)
      .flatMap((base) => partOf(base, path) ?? []);
    return [...parts, { ...node, entries }].reduce(mergeTrees);
  };
  /** What `file.yaml` or `file.yaml#steps/name` names: a mapping. */
  const partOf = ({ name, place }: Base, path: string): YamlNode | undefined => {
    const [, file = "", within] = /^([^#]*)(?:#(.*))?$/s.exec(name) ?? [];
    const full = isAbsolute(file) ? file : join(dirname(path), file);
    let found = extended(full, { name: file, place }, IMPORTING);
    for (const word of within?.split("/") ?? []) {
      if (found === undefined) return undefined;
      const next = found.type === "map" ? found.entries.get(word)?.value : undefined;
      if (next === undefined) {
        report(place, `Cannot import "${name}": there is no "${word}" in ${file}`);
      }
      found = next;
    }
    if (found === undefined || found.type === "map") return found;
    report(place, `Cannot import "${name}": it is ${wordFor(found)}, expected a mapping`);
    return undefined;
  };
  const extended = (
    path: string,
    { name, place }: Base,
    { verb, joint }: Naming = EXTENDING,
  ): YamlNode | undefined => {
    const full = resolve(path);
    if (trees.has(full)) return trees.get(full);
    const fail = (why: string) => {
      report(place, `Cannot ${verb} "${name}": ${why}`);
      return undefined;
    };
    const met = trail.findIndex((open) => resolve(open) === full);
    if (met >= 0) return fail([...trail.slice(met), path].join(joint));
    if (sources.length >= FILES) return fail(`there are ${FILES} files already`);
    let text: string;
    try {
      text = read(path);
    } catch (error) {
      return fail((error as Error).message);
    }
    const tree = treeOf(path, text);
    if (tree === undefined || tree.type === "map") return tree;
    const is = wordFor(tree);
    report(tree.place, `Cannot ${verb} this: it is ${is}, expected a mapping such as steps: …`);
    return undefined;
  };

  return { root: treeOf(path, text), sources };
}

/** Reads a file of the disk; the error says why it cannot, without the path. */
export function readFile(path: string): string {
  const reading = <T>(read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) throw new Error("there is no such file");
      throw new Error((error as Error).message.replace(/: \w+ '.*'$/s, ""));
    }
  };
  // Opening a pipe would wait for whoever writes to it, and a device has no end.
  const { isFile, isDirectory, isFifo, size } = reading(() => Deno.statSync(path));
  if (!isFile) {
    const is = isDirectory ? "directory" : isFifo ? "pipe" : "device";
    throw new Error(`it is a ${is}, expected a file`);
  }
  if (size > LONGEST) throw new Error(`it has ${size} bytes, expected at most ${LONGEST}`);
  const bytes = reading(() => Deno.readFileSync(path));
  try {
    // The mark of the byte order stays, so that the text has the digest of the file.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error("it is no text, expected YAML in UTF-8");
  }
}

/** The name under which a mapping says what it takes over. */
const IMPORT = "$import";

/** How problems call what is done with another file. */
interface Naming {
  readonly verb: "extend" | "import";
  readonly joint: string;
  readonly wanted: string;
}

const EXTENDING: Naming = { verb: "extend", joint: " extends ", wanted: "the path of a manifest" };
const IMPORTING: Naming = {
  verb: "import",
  joint: " imports ",
  wanted: "file.yaml, or file.yaml#steps/name for a part of it",
};

/** A file to extend and where that is said. */
interface Base {
  readonly name: string;
  readonly place: Place;
}

function basesOf(
  node: YamlNode | undefined,
  report: Report,
  { verb, wanted }: Naming = EXTENDING,
): Base[] {
  if (node === undefined || isNull(node)) return [];
  const items = node.type === "list" ? node.items : [node];
  return items.flatMap((item) => {
    if (item.type === "scalar" && typeof item.value === "string" && item.value !== "") {
      return [{ name: item.value, place: item.place }];
    }
    const is = wordFor(item);
    report(item.place, `Cannot ${verb} ${is}: expected ${wanted}, or a list of paths`);
    return [];
  });
}
