import type { z } from "zod";

/** Keys of `config.json` by a schema; throws with all problems at once. */
export function readConfig<S extends z.ZodType>(schema: S, json: unknown): z.infer<S> {
  const parsed = schema.safeParse(json, { reportInput: true });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message, input }) => {
    const is = input === undefined ? "not there" : JSON.stringify(input);
    return `${path.join(".")} is ${is}, ${message.replace(/^Invalid \w+: /, "")}`;
  });
  throw new TypeError(`Cannot read config.json: ${problems.join("; ")}`);
}
