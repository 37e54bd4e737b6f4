import type { ModelRecord } from "../models/model_record.ts";
import { type FoundTensor, list } from "../formats/safetensors/found_files.ts";
import { linearParts } from "./linear_parts.ts";

/** Tensors a model must hold, by name, with their shapes. */
export type Expected = ReadonlyMap<string, readonly number[]>;

/** What is compared: what a family and a record ask for, and what the files hold. */
export interface Comparison {
  readonly record: Pick<ModelRecord, "linears">;
  readonly expected: Expected;
  readonly tensors: ReadonlyMap<string, FoundTensor>;
}

/** Where tensors are missing, of another shape or type, or there twice; a sentence each. */
export function tensorProblems({ expected, record, tensors }: Comparison): string[] {
  const missing: string[] = [];
  const problems: string[] = [];
  for (const [name, shape] of expected) {
    const parts = linearParts(name, { record, shape });
    if (parts && tensors.has(name)) problems.push(`"${name}" is there whole and in codes`);
    const wanted = parts ?? [{ name, shape, dtype: undefined }];
    for (const part of wanted) {
      const found = tensors.get(part.name);
      if (!found && (parts || !isPacked(name, tensors))) missing.push(part.name);
      if (!found || (!parts && !isWhole(found))) continue;
      const [got, want] = [found, part].map(({ shape }) => `[${shape.join(", ")}]`);
      if (got !== want) problems.push(`"${part.name}" is ${got}, expected ${want}`);
      if (part.dtype !== undefined && part.dtype !== found.dtype) {
        problems.push(`"${part.name}" is ${found.dtype}, expected ${part.dtype}`);
      }
    }
  }
  if (missing.length > 0) {
    problems.unshift(`${missing.length} tensors are missing: ${list(missing)}`);
  }
  const stray = Object.keys(record.linears).filter((name) => !expected.has(`${name}.weight`));
  if (stray.length > 0) {
    problems.push(`model.json tells of linears it does not have: ${list(stray)}`);
  }
  return problems;
}

/** Names of tensors that nothing asks for. */
export function unusedTensors({ expected, record, tensors }: Comparison): string[] {
  const used = new Set(
    [...expected].flatMap(([name, shape]) =>
      linearParts(name, { record, shape })?.map((part) => part.name) ?? [name]
    ),
  );
  return [...tensors.keys()].filter((name) =>
    !used.has(name) && !expected.has(`${name.replace(/\.\w+$/, "")}.weight`)
  );
}

/** Whether other programs' packed tensors stand in a weight's place. */
function isPacked(name: string, tensors: Comparison["tensors"]): boolean {
  const linear = name.replace(/\.weight$/, "");
  return ["qweight", "weight_packed"].some((part) => tensors.has(`${linear}.${part}`));
}

/** Whether a tensor holds a value an element: packed bytes have shapes of their own. */
function isWhole({ dtype }: FoundTensor): boolean {
  return dtype !== "U8" && dtype !== "I32" && dtype !== "U32";
}
