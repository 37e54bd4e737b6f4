/** Throws where something is wrong with a checkpoint's tensors, the first problems in a sentence. */
export function refuseProblems(path: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  throw new TypeError(`Cannot load "${path}": ${problems.slice(0, 5).join("; ")}${more}`);
}
