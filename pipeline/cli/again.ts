import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The command that does again what this process was asked to do, as a shell takes it. */
export function commandAgain(
  args: readonly string[],
  { main = Deno.mainModule, env = Deno.env }: {
    readonly main?: string;
    readonly env?: { get(name: string): string | undefined };
  } = {},
): string {
  const program = main.startsWith("file:") ? relative(Deno.cwd(), fileURLToPath(main)) : main;
  // Under npx there may be no Deno on the path.
  const deno = env.get("npm_command") === "exec" ? `npx -y deno@${Deno.version.deno}` : "deno";
  const [command = "", ...rest] = args;
  const [file, word] = taskText(command)?.split(" ").slice(-2) ?? [];
  const how = word === command && resolve(file ?? "") === resolve(program)
    ? ["task", ...args]
    : ["run", "-A", program, command, ...rest];
  return [deno, ...how.map(quote)].join(" ");
}

/** What a task of the project here is. */
function taskText(name: string): string | undefined {
  try {
    const task = JSON.parse(Deno.readTextFileSync("deno.json")).tasks?.[name];
    return typeof task === "string" ? task : task?.command;
  } catch {
    return undefined;
  }
}

function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return Deno.build.os === "windows"
    ? `"${word.replaceAll('"', '\\"')}"`
    : `'${word.replaceAll("'", "'\\''")}'`;
}
