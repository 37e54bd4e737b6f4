/**
 * Bytes of memory that this process may still take: what the system has free, or what the limits of its
 * control groups leave (Linux kernel, admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
 */
export function freeMemory(root = "/"): number {
  const { available } = Deno.systemMemoryInfo();
  if (Deno.build.os !== "linux") return available;
  const groups = `${root}sys/fs/cgroup`;
  const left = readText(`${root}proc/self/cgroup`).split("\n").flatMap((line) => {
    const [, controllers, own = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === "") return pathsUpTo(own).map((path) => leftOf(groups + path, VERSION_2));
    if (!controllers?.split(",").includes("memory")) return [];
    return pathsUpTo(own).map((path) => leftOf(`${groups}/memory${path}`, VERSION_1));
  });
  return Math.min(available, ...left);
}

/** Files of a group with its limit, what it has taken, and what of that are pages of files. */
const VERSION_2 = { most: "memory.max", taken: "memory.current", files: "inactive_file" };
const VERSION_1 = {
  most: "memory.limit_in_bytes",
  taken: "memory.usage_in_bytes",
  files: "total_inactive_file",
};

/** A group and all above it, whose limits count too; a container sees its own as the root. */
function pathsUpTo(group: string): string[] {
  const names = group.split("/").filter((name) => name !== "");
  return [...names.keys(), names.length].map((count) =>
    names.slice(0, count).map((name) => `/${name}`).join("")
  );
}

/** What a limit leaves; pages of files do not count, since the system drops them when asked. */
function leftOf(group: string, { most, taken, files }: typeof VERSION_2): number {
  // "max" and a file that is not there give NaN.
  const left = parseInt(readText(`${group}/${most}`)) - parseInt(readText(`${group}/${taken}`));
  if (!Number.isFinite(left)) return Infinity;
  const [, cached = "0"] = new RegExp(`^${files} (\\d+)$`, "m")
    .exec(readText(`${group}/memory.stat`)) ?? [];
  return Math.max(0, left + Number(cached));
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
